"""What goes wrong on the way between the app and a service, and when."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from azure.core.exceptions import (
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)

from status_app.errors import UnavailableError

type Service = Literal["tables", "iothub", "transitions"]


class Trouble(StrEnum):
    """What happens to one call. What the SDKs try again by themselves has failed as often as they try."""

    THROTTLED = "throttled"
    """The answer is 429, and nothing is done."""
    BUSY = "busy"
    """The answer is 503, and nothing is done."""
    CUT = "cut"
    """The connection is cut before the call is done."""
    LOST = "lost"
    """The call is done, and its answer gets lost with the connection."""
    TIMEOUT = "timeout"
    """The call is done, and its answer comes too late."""
    AGAIN = "again"
    """The call is done, its answer gets lost, and the SDK makes it once more."""
    PARTLY = "partly"
    """Of several batches the first is stored; of any other call nothing is done."""
    KILLED = "killed"
    """The process is killed before the call is done."""
    KILLED_AFTER = "killed after"
    """The process is killed after the call is done."""
    RIVAL = "rival"
    """A twin changes, and another process looks at it, while the call is on its way."""
    CHANGE = "change"
    """The hub changes a twin while the call is on its way."""
    SILENT = "silent"
    """From now on the service answers nothing in this run, and each call costs all the time that it may take."""
    PAUSED = "paused"
    """The process is paused before the call, while others go on."""
    PAUSED_AFTER = "paused after"
    """The call is done, and the process is paused before it has the answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A trouble, and the calls that pass before it.

    Attributes:
        change: What changes in a twin.
        device: Whom a `RIVAL` looks at, and others while the process is paused: it is the one that changes then.
        pause: Seconds for which a process is paused.
        stops_ticks: Whether the clock by which runs end stands still in a pause, as that of a suspended machine does.
    """

    gap: int
    trouble: Trouble
    device: int = 0
    change: Any = None
    pause: int = 0
    stops_ticks: bool = True


class Killed(BaseException):
    """The process is no more: whatever it still calls raises this, and nothing of the app goes on from it."""


def troubles(faults: tuple[Fault, ...]) -> Iterator[Fault | None]:
    """The fault of each call that comes, the first one on."""
    for fault in faults:
        for _ in range(fault.gap):
            yield None
        yield fault
    while True:
        yield None


def refusal(service: Service, trouble: Trouble) -> Exception:
    """What the caller of a service gets."""
    if service != "tables":
        return UnavailableError(service, f"it is {trouble}")
    if trouble in (Trouble.THROTTLED, Trouble.BUSY):
        error = HttpResponseError(message=trouble)
        error.status_code = 429 if trouble is Trouble.THROTTLED else 503
        return error
    if trouble is Trouble.TIMEOUT:
        return ServiceResponseTimeoutError(trouble)
    return ServiceRequestError(trouble) if trouble is Trouble.CUT else ServiceResponseError(trouble)


def suffer(service: Service, trouble: Trouble, do: Callable[[], Any]) -> Any:
    """Make a call in trouble that its process survives."""
    if trouble is Trouble.AGAIN:
        attempt(do)
        return do()
    if trouble in (Trouble.LOST, Trouble.TIMEOUT):
        attempt(do)
    raise refusal(service, trouble)


def attempt(do: Callable[[], Any]) -> None:
    """Make a call whose answer nobody gets."""
    try:
        do()
    except (HttpResponseError, UnavailableError):
        return
