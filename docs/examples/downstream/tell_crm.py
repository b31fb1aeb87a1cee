"""How does your own flow start when sales gets a lead? It listens to `nurture.handover.created`.

The event carries the public id of the handover and nothing about the person. What this flow may know
more it asks where it may: here, your CRM by that id.
"""

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact


@flow(name="tell-crm", log_prints=False, persist_result=False)
def tell_crm(handover: str) -> str:
    """Make a task in the CRM for a handover.

    handover: its public id, the same as in the signed webhook and in `nurture handover show`.
    """
    get_run_logger().info("handover %s reached the CRM", handover)
    create_markdown_artifact(f"Handover `{handover}` has a task in the CRM.", key="crm-newest-handover")
    return handover
