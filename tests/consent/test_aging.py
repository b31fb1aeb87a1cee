"""Which consents grow old, how they are renewed, and their names in exports (T61, R21)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from consent import aging, opt_in, states
from consent.identity import SubjectError
from tests.consent.people import NEWSLETTER, TRACKING, People

DAY = timedelta(days=1)


def listed(people: People, years: int, less: timedelta = timedelta(0)) -> list[tuple[str, bool]]:
    """Subjects named so many years after the start, and whether they are stale."""
    moment = people.at.replace(year=people.at.year + years) - less
    with people.store.read() as conn:
        return [(one.subject, one.stale) for one in aging.aging(conn, controller="default", at=moment)]


def test_t61_warned_at_twelve_months_stale_at_twenty_four(people: People) -> None:
    """T61: a day before 12 months nobody is named; then as a warning; at 24 months as stale."""
    subject = people.confirmed(purposes=[NEWSLETTER, TRACKING])

    assert listed(people, 1, DAY) == []
    assert listed(people, 1) == [(subject, False)]
    assert listed(people, 2, DAY) == [(subject, False)]
    assert listed(people, 2) == [(subject, True)]
    assert people.reason(subject, at=people.at.replace(year=people.at.year + 2)) == "stale"


def test_t61_a_send_resets_and_withdrawal_ends_the_list(people: People) -> None:
    """T61: who was written to in month 12 is named a year later; who left, never."""
    used, left = (people.confirmed(f"{name}@firma.example") for name in "ab")
    people.ask(used, at=people.at + 340 * DAY)
    people.leave(left)

    assert listed(people, 1) == []
    assert listed(people, 2) == [(used, False)]


def test_stale_consent_is_renewed_when_the_person_asks(people: People) -> None:
    """Renewal is a new double opt-in, by subject; the gate permits again after the button."""
    subject = people.confirmed()
    late = people.at.replace(year=people.at.year + 3)
    about = {"purposes": [NEWSLETTER], "controller": "default", "language": "de", "source": "operator.renewal"}
    with people.store.write() as conn:
        done = opt_in.renew(conn, people.keyring, subject, **about, evidence={"asked": "phone"}, at=late)  # type: ignore[arg-type]
        with pytest.raises(SubjectError):
            opt_in.renew(conn, people.keyring, "x" * 26, **about, evidence={}, at=late)  # type: ignore[arg-type]

    assert people.reason(subject, at=late) == "stale"
    people.press(people.link(done), at=late)
    assert people.reason(subject, at=late) is None


@pytest.mark.parametrize(
    ("state", "how", "name"),
    [
        ("given", {}, "ConsentGiven"),
        ("given", {"renewed": True}, "RenewedConsentGiven"),
        ("given", {"renewed": True, "unused": True}, "ConsentExpired"),
        ("stale", {}, "ConsentExpired"),
        ("withdrawn", {"route": "page"}, "ConsentWithdrawn"),
        ("withdrawn", {"route": "merge"}, "ConsentRevoked"),
        ("erased", {}, "ConsentInvalidated"),
        ("requested", {}, "ConsentRequested"),
        ("declined", {}, "ConsentRefused"),
        ("lapsed", {}, "ConsentRequestDeferred"),
        ("never heard of", {}, "ConsentUnknown"),
    ],
)
def test_states_have_their_dpv_names(state: str, how: dict[str, object], name: str) -> None:
    """Each word of ours is one of the Data Privacy Vocabulary's."""
    assert states.dpv_state(state, **how) == name  # type: ignore[arg-type]


def test_every_state_of_ours_has_a_dpv_name() -> None:
    """Consents and requests alike; none falls to Unknown."""
    words = [*states.State, *opt_in.RequestState]

    assert states.DpvState.UNKNOWN not in {states.dpv_state(word) for word in words}
