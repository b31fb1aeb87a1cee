"""`nurture score`: how interested is a lead, why, and does it all follow from the events?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nurture.cli.output import Exit, fail, moment, note, print_json, table

if TYPE_CHECKING:
    from nurture.scoring.fold import Score


def register(app: typer.Typer) -> None:
    """Add the noun."""
    group = typer.Typer(help="Scores: show one with its reasons, replay all, check the rules.", no_args_is_help=True)
    group.command("show")(show)
    group.command("replay")(replay_all)
    group.command("check")(check)
    group.command("schema")(schema)
    app.add_typer(group, name="score")


def show(
    lead: Annotated[int, typer.Argument(help="Id of the lead.")],
    at: Annotated[str | None, typer.Option("--at", help="As of this time (ISO 8601); default: now.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show a lead's score with every point and its cause."""
    from nurture.scoring import policy, project
    from nurture.store.workspace import open_workspace

    with open_workspace() as ws, ws.store.read() as conn:
        rules = policy.load(ws.settings.policies)
        found = project.scores(conn, rules, [lead], at=moment(at))
    if lead not in found:
        fail(f"there is no lead {lead}; 'nurture lead list' shows the numbers")
    score = found[lead]
    if as_json:
        print_json({"lead": lead} | described(score))
        return
    # Points fade: the same lead has another score at another time, and the time is half of the answer.
    print(f"lead {lead}, {score.at:%Y-%m-%d %H:%M} UTC: {score.shown} points, {score.temperature}"
          f" (rules version {score.rules_version})")  # fmt: skip
    print(f"engagement {score.engagement:.1f}, fit {score.fit:.0f}")
    if score.changes_at is not None:
        print(f"changes by time alone at {score.changes_at:%Y-%m-%d %H:%M} UTC")
    rows = [
        (f"{each.at:%Y-%m-%d %H:%M}", each.rule, each.points, f"{each.worth(score.at):.1f}", each.reason)
        for each in score.contributions
    ]
    table("", ["at (UTC)", "rule", "points", "worth now", "reason"], rows)


def described(score: Score) -> dict[str, Any]:
    """Give a score as plain values."""
    return {
        "at": score.at,
        "score": round(score.score, 6),
        "shown": score.shown,
        "engagement": round(score.engagement, 6),
        "fit": score.fit,
        "temperature": score.temperature.value,
        "rules_version": score.rules_version,
        "changes_at": score.changes_at,
        "contributions": [
            {
                "rule": each.rule,
                "axis": each.axis,
                "points": each.points,
                "worth": round(each.worth(score.at), 6),
                "at": each.at,
                "until": each.until,
                "event": each.event_id,
                "reason": each.reason,
            }
            for each in score.contributions
        ],
    }


def replay_all(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Recompute every score from zero and compare; ends with 4 when one differs."""
    from nurture.scoring import policy
    from nurture.scoring.replay import replay
    from nurture.store.workspace import open_workspace

    with open_workspace() as ws, ws.store.read() as conn:
        done = replay(conn, policy.load(ws.settings.policies), progress=lambda count: note(f"{count} leads"))
    told = {
        "leads": done.leads,
        "unscored": done.unscored,
        "outdated": done.outdated,
        "differences": len(done.different),
        "different": list(done.different),
    }
    if as_json:
        print_json(told)
    else:
        table("Replay", list(told)[:4], [list(told.values())[:4]])
    if done.different:
        raise typer.Exit(int(Exit.CHECK_FAILED))


def check(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Read policies/scoring.yaml and warn about rules that cannot be meant."""
    from nurture.scoring import policy
    from nurture.scoring.check import warnings
    from nurture.settings import Settings

    rules = policy.load(Settings().policies)
    found = warnings(rules)
    if as_json:
        print_json({"version": rules.version, "counted_once": rules.counted_once(), "warnings": found})
        return
    print(f"scoring.yaml version {rules.version}: {len(rules.rules)} rules, {rules.counted_once()} points counted once")
    for each in found:
        print(f"warning: {each}")


def schema() -> None:
    """Print the JSON Schema of policies/scoring.yaml, for editors."""
    from nurture.scoring.policy import json_schema

    print_json(json_schema())
