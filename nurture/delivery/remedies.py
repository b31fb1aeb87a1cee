"""What can a person do about mail that stands still? The next command, for whatever stopped it."""

from __future__ import annotations

from nurture.delivery.brakes import Brake
from nurture.delivery.circuit import ALIKE
from nurture.delivery.switch import ALL


def of_stop(scope: str) -> str:
    """Say how a person's own stop ends; `scope` as the kill switch names it."""
    option = "--all" if scope == ALL else f"--sequence {scope.removeprefix('sequence:')}"
    return f'when it may go on: nurture resume {option} --reason "..."'


def of_brake(name: str) -> str:
    """Say what to look at, and how the brake is let go."""
    release = f'nurture resume --brake {name} --reason "..."'
    return {
        Brake.IN_DOUBT: (
            "it lifts itself when proof comes: look whether the provider's events arrive, ask it with "
            "'nurture delivery reconcile', see the mails with 'nurture delivery unknown'. None of them is sent again. "
            f"To go on without proof: {release}"
        ),
        Brake.COMPLAINTS: f"look at who got what, and take out the list or mail that annoyed; then {release}",
        Brake.RESTORED: (
            "nurture delivery gap --since TIME (of the older state), then nurture delivery reconcile, enter the "
            f"withdrawals since, then {release}"
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
            f"The mails wait up to a day. Mend it, {close}"
        )
    causes = f"key, password, certificate, sandbox; or {provider} is down"
    return f"mend the cause ({causes}), {close}; it is also tried now and then"
