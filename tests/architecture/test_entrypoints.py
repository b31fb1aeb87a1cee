"""Do deployments point at flows that load, and does nothing stand in anything's way?"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOYMENTS: list[dict[str, Any]] = YAML(typ="safe").load((ROOT / "prefect.yaml").read_text("utf-8"))["deployments"]
ENTRYPOINTS = sorted({entry["entrypoint"] for entry in DEPLOYMENTS})
SCHEDULES = [(entry["name"], schedule) for entry in DEPLOYMENTS for schedule in entry.get("schedules", [])]
SWEEPS = [entry for entry in DEPLOYMENTS if entry.get("schedules")]

LOAD = """
import json, sys
from prefect.flows import load_flow_from_entrypoint
found = {}
for entrypoint in sys.argv[1:]:
    flow = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    settings = [bool(flow.persist_result), bool(flow.log_prints)]
    found[entrypoint] = [flow.name, sorted(flow.parameters.properties), *settings]
print(json.dumps(found))
"""
SHADOWS = """
import importlib.util, sys
sys.path[:] = [p for p in sys.path if p not in ("", sys.argv[1])] + [sys.argv[1]]
print(*[stem for stem in sys.argv[2:] if importlib.util.find_spec(stem) is not None])
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What a fresh process far from the checkout finds behind the entrypoints."""
    folder = tmp_path_factory.mktemp("elsewhere")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    answer = subprocess.run(
        [sys.executable, "-c", LOAD, *ENTRYPOINTS],
        cwd=folder,
        env={**env, "PREFECT_HOME": str(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, list[Any]] = json.loads(answer.stdout.splitlines()[-1])
    return found


def test_every_entrypoint_loads_its_flow(loaded: dict[str, list[Any]]) -> None:
    assert {entrypoint: name for entrypoint, (name, *_) in loaded.items()} == {
        "flows.checkpoints.sign_checkpoint": "sign-checkpoint",
        "flows.handovers.hand_over": "hand-over",
        "flows.housekeeping.keep_house": "keep-house",
        "flows.opt_ins.send_confirmations": "send-confirmations",
        "flows.sequences.run_sequences": "run-sequences",
        "flows.signals.ingest_events": "ingest-events",
    }


def test_flows_take_names_and_times_only(loaded: dict[str, list[Any]]) -> None:
    assert {name for _, parameters, *_ in loaded.values() for name in parameters} == {"sequence", "at"}


def test_flows_persist_and_capture_nothing(loaded: dict[str, list[Any]]) -> None:
    assert not any(persists or captures for *_, persists, captures in loaded.values())


def test_entrypoints_are_modules_not_files() -> None:
    assert [entrypoint for entrypoint in ENTRYPOINTS if ":" in entrypoint or ".py" in entrypoint] == []


def test_no_flow_file_shadows_a_package() -> None:
    stems = [path.stem for path in (ROOT / "flows").glob("*.py") if path.stem != "__init__"]
    answer = subprocess.run(
        [sys.executable, "-c", SHADOWS, str(ROOT), *stems], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    assert answer.stdout.split() == []


@pytest.mark.parametrize(("name", "schedule"), SCHEDULES, ids=lambda value: value if isinstance(value, str) else "")
def test_german_schedules_avoid_the_doubled_hour(name: str, schedule: dict[str, Any]) -> None:
    hours = schedule["cron"].split()[1]
    assert schedule["timezone"] == "UTC" or 2 not in _hours(hours), name


def test_sweeps_that_run_all_day_are_in_utc() -> None:
    """In German time Prefect leaves out an hour each autumn."""
    all_day = [schedule["timezone"] for _, schedule in SCHEDULES if schedule["cron"].split()[1] == "*"]
    assert set(all_day) == {"UTC"}


def test_every_schedule_has_a_slug() -> None:
    assert all(schedule["slug"] for _, schedule in SCHEDULES)


def test_a_second_run_of_a_sweep_is_dropped() -> None:
    limits = [entry["concurrency_limit"] for entry in SWEEPS]
    assert all(limit["limit"] == 1 and limit["collision_strategy"] == "CANCEL_NEW" for limit in limits)
    assert min(limit["grace_period_seconds"] for limit in limits) >= 60


def test_deployments_know_only_keys_prefect_reads() -> None:
    """Prefect ignores unknown keys of a deployment in silence."""
    known = {"name", "version", "tags", "description", "entrypoint", "parameters", "enforce_parameter_schema",
             "schedules", "concurrency_limit", "work_pool", "triggers"}  # fmt: skip
    assert {key for entry in DEPLOYMENTS for key in entry} - known == set()


def test_only_the_outer_rooms_know_prefect() -> None:
    inner = [path for folder in ("consent", "nurture") for path in (ROOT / folder).rglob("*.py")]
    guilty = [path for path in inner if "prefect" in _imports(path)]
    assert {path.parent.relative_to(ROOT).as_posix() for path in guilty} <= {"nurture/cli/launcher"}


def _hours(field: str) -> set[int]:
    hours: set[int] = set()
    for part in field.split(","):
        first, _, last = part.partition("-")
        hours |= set(range(24)) if first == "*" else set(range(int(first), int(last or first) + 1))
    return hours


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found
