"""The lists of an export against a naive reading of the same entries, in random histories."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from consent.ledger import Recorded
from consent.rules import Fault, judged
from nurture.audit.facts import work_file
from nurture.audit.scope import Scope

if TYPE_CHECKING:
    from pathlib import Path

SUBJECTS, PURPOSES = ("a" * 26, "b" * 26), ("news", "events")
START = datetime(2026, 1, 1, tzinfo=UTC)
ALL = Scope()


def history(seed: int, length: int = 40) -> list[Recorded]:
    """Whatever could stand in a ledger, lawful or not."""
    chance = random.Random(seed)  # noqa: S311  a seed, no secret
    about = {"controller": "default", "channel": "email"}
    made: list[Recorded] = []
    given: dict[tuple[str, str], int] = {}
    for seq in range(length):
        subject, purpose = chance.choice(SUBJECTS), chance.choice(PURPOSES)
        kind = chance.choices(
            ["consent.confirmed", "consent.withdrawn", "send.authorised", "send.blocked", "subject.erased"],
            [3, 3, 6, 2, 0.3],
        )[0]
        body: dict[str, Any] = dict(about)
        if kind == "consent.confirmed":
            item = {"purpose": purpose, "text": "0" * 64, "version": 1}
            body |= {"purposes": [item], "request": 0, "lifted": 0, "commit": "1" * 64}
            given[subject, purpose] = seq
        elif kind == "consent.withdrawn":
            ended = chance.choice([["*"], [purpose], list(PURPOSES)])
            body |= {"purposes": ended, "route": "page", "actor": "recipient", "ends": [], "voids": []}
        elif kind == "send.authorised":
            permit = [f"m{seq}", subject, given.get((subject, purpose), 0), None]
            body |= {"purpose": purpose, "lease_until": "", "permits": [permit]}
        elif kind == "send.blocked":
            body |= {"purpose": purpose, "refusals": [[f"m{seq}", subject, "withdrawn"]]}
        else:
            body = {"reason": "request"}
        about_one = None if kind.startswith("send.") else subject
        made.append(Recorded(seq, START + timedelta(hours=seq), kind, about_one, body))
    return made


def next_send(entries: list[Recorded], left: Recorded) -> int | None:
    """Read on from a withdrawal, entry by entry: which send does nothing excuse?"""
    ended = set(PURPOSES) if "*" in left.body["purposes"] else set(left.body["purposes"])
    for entry in entries[left.seq + 1 :]:
        if entry.type == "consent.confirmed" and entry.subject == left.subject:
            ended -= {item["purpose"] for item in entry.body["purposes"]}
        sent = entry.type == "send.authorised" and entry.body["permits"][0][1] == left.subject
        if sent and entry.body["purpose"] in ended:
            return entry.seq
    return None


@pytest.mark.parametrize("seed", range(60))
def test_lists_agree_with_a_naive_reading(tmp_path: Path, seed: int) -> None:
    """The next send after each withdrawal, the state of each consent, the uses of each consent."""
    entries = history(seed)
    with work_file(tmp_path, at=START + timedelta(days=30)) as facts:
        for entry in entries:
            facts.feed(entry)
        facts.close_book(ALL)
        withdrawals = {row["seq"]: row["next_send_seq"] for row in facts.withdrawals(ALL)}
        consents = list(facts.consents(ALL))
        sends = facts.grouped("send", "subject", ALL)
    left = [entry for entry in entries if entry.type == "consent.withdrawn"]
    assert withdrawals == {entry.seq: next_send(entries, entry) for entry in left}
    allowed = [entry for entry in entries if entry.type == "send.authorised"]
    assert sum(sends.values()) == len(allowed)
    for row in consents:
        later = [entry for entry in entries[row["seq"] + 1 :] if entry.subject == row["subject"]]
        ends = (
            entry.type.rpartition(".")[2]
            for entry in later
            if entry.type == "subject.erased"
            or (entry.type == "consent.withdrawn" and {"*", row["purpose"]} & set(entry.body["purposes"]))
            or (entry.type == "consent.confirmed" and entry.body["purposes"][0]["purpose"] == row["purpose"])
        )
        wanted = {"withdrawn": "withdrawn", "confirmed": "renewed", "erased": "erased", "none": "given"}
        assert row["state"] == wanted[next(ends, "none")]
        rests = [entry for entry in allowed if entry.body["permits"][0][2] == row["seq"]]
        assert row["uses"] == sum(entry.body["purpose"] == row["purpose"] for entry in rests)


@pytest.mark.parametrize("seed", range(60))
def test_a_send_after_a_withdrawal_is_a_breach_of_the_rules(tmp_path: Path, seed: int) -> None:
    """Two readings of one ledger, the auditor's and the list's, never contradict each other."""
    entries = history(seed)
    with work_file(tmp_path, at=START) as facts:
        for entry in entries:
            facts.feed(entry)
        facts.close_book(ALL)
        found = {row["next_send_seq"] for row in facts.withdrawals(ALL)} - {None}
    faulty = {breach.seq for breach in judged(entries).listed if breach.fault is Fault.NO_CONSENT}
    assert found <= faulty
