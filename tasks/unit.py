"""What do all tasks have in common? Growing pauses between tries, a time limit, and silence about people.

Prefect stores the text of exceptions and shows it, and the text of a database error quotes the values
of its statement. So an error leaves a task as its type and place only (I8).
"""

from __future__ import annotations

import logging
import traceback
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from sqlalchemy.exc import InterfaceError, OperationalError

from consent import ConsentError
from nurture import NurtureError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("nurture.tasks")

PAUSES = (10.0, 60.0, 300.0)
"""Seconds before the second, third and fourth try."""
MINUTE = 60.0
ROOT = Path(__file__).resolve().parent.parent
PASSING = (OperationalError, InterfaceError, OSError)
"""Faults of the moment: a locked or restarting database, a full pipe, a network."""


class UnitError(NurtureError):
    """A unit of work failed; the message names the kind of error and its place, never a value."""

    def __init__(self, message: str, *, passing: bool) -> None:
        """Keep whether another try could help."""
        super().__init__(message)
        self.passing = passing


def unit(
    *, timeout: float, retries: int = 3, pauses: Sequence[float] = PAUSES
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a function a task of ours. `timeout` in seconds; retries only for faults of the moment."""

    def make(function: Callable[P, R]) -> Task[P, R]:
        return task(
            retries=retries,
            retry_delay_seconds=list(pauses[:retries]) or None,
            retry_condition_fn=worth_another_try,
            timeout_seconds=timeout,
            cache_policy=NO_CACHE,
            persist_result=False,
            log_prints=False,
        )(blind(function))

    return make


def blind(function: Callable[P, R]) -> Callable[P, R]:
    """Let no exception out that could quote personal data; log the counts that a task gives, once."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            result = function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  whatever it is, its text must not reach Prefect
            failed = UnitError(describe(error), passing=isinstance(error, PASSING))
        else:
            log.info("%s: %s", function.__name__, result)
            return result
        # Raised out here, so that the original is not even its context.
        raise failed

    return called


def describe(error: Exception) -> str:
    """Say what failed and where. Our own errors promise to name nobody, so their text may stay."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_ours(frame.filename)]
    place = f" at {Path(frames[-1].filename).relative_to(ROOT)}:{frames[-1].lineno}" if frames else ""
    said = f": {error}" if isinstance(error, NurtureError | ConsentError) else ""
    return f"{type(error).__name__}{place}{said}"


def worth_another_try(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Tell whether a failed task should be tried again."""
    try:
        state.result()
    except UnitError as error:
        return error.passing
    except Exception:  # noqa: BLE001  a timeout or a fault of Prefect's own: another try is right
        return True
    return False


def _is_ours(name: str) -> bool:
    path = Path(name)
    return path.is_relative_to(ROOT) and "site-packages" not in path.parts
