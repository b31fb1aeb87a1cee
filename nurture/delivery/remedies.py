"""What can a person do about mail that stands still? The next command, for whatever stopped it."""

from __future__ import annotations

from nurture.delivery.brakes import Brake
from nurture.delivery.circuit import ALIKE
from nurture.delivery.switch import ALL


def of_stop(scope: str) -> str:
    """Say how a person's own stop ends; `scope` as the kill switch names it."""
    option = "--all" if scope == ALL else f"--sequence {scope.removeprefix('sequence:')}"
    return f'when it may go on: nurture resume {option} --reason "..."'


PROOF = {
    "outbox": "'nurture delivery reconcile' looks for the mails in the outbox folder",
    "sendgrid": (
        "look whether SendGrid's events arrive (webhook, key), or set sendgrid_logs = true; "
        "'nurture delivery reconcile' asks at once"
    ),
    "smtp": (
        "only bounces, reports of delivery and clicks tell; the log of your mail server shows the Message-IDs that "
        "left, which begin with what 'nurture delivery unknown' lists"
    ),
}
"""Where proof comes from that a mail in doubt was taken."""


def of_brake(name: str, provider: str = "", *, gap_marked: bool = False) -> str:
    """Say what to look at, and how the brake is let go.

    `gap_marked`: is all in doubt that an older database may have sent, as `restore` leaves it?
    """
    release = f'nurture resume --brake {name} --reason "..."'
    return {
        Brake.IN_DOUBT: (
            "a worker died or the provider gave no answer; 'nurture delivery unknown' lists the mails, none of them is "
            f"sent again. It lifts itself when proof comes: {PROOF.get(provider, PROOF['sendgrid'])}. "
            f"To go on without proof: {release}"
        ),
        Brake.COMPLAINTS: f"look at who got what, and take out the list or mail that annoyed; then {release}",
        Brake.RESTORED: (
            f"{'' if gap_marked else 'nurture delivery gap --since TIME (of the older state), then '}"
            "enter the withdrawals, complaints and erasures since, then nurture delivery reconcile, "
            f"then {release}"
        ),
        Brake.COPIED: (
            'nurture delivery home --original --reason "..." where this database is the one to send, '
            "--copy where another is"
        ),
        Brake.SERVER: (
            "where commits may be lost: nurture delivery gap --since TIME; then nurture delivery reconcile, "
            f"then {release}"
        ),
    }[Brake(name)]


def of_circuit(provider: str, reason: str) -> str:
    """Say what may be wrong between us and the provider, and how sending goes on at once."""
    close = f"then run 'nurture delivery close-circuit {provider}'"
    if reason.startswith(ALIKE):
        return (
            f"no mail was taken, so the account is suspected: does {provider} know our sender address, may we relay? "
            f"Marketing mails wait up to a day. Mend it, {close}"
        )
    causes = f"key, password, certificate, sandbox; or {provider} is down"
    return f"mend the cause ({causes}), {close}; it is also tried now and then"
