"""A report on a fleet for people: a paragraph per device, and a summary of common causes."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime

from status_core.causes import Cause
from status_core.reading import clean
from status_core.reasons import Reason
from status_core.restarts import restarts_in_words
from status_core.states import ModuleState, State
from status_core.status import DeploymentStatus, ModuleStatus
from status_core.twin import NAME_LIMIT

_SHOWN_ON_DEVICE = (ModuleState.PENDING, ModuleState.UNKNOWN)
_NAMED_DEVICES = 3


def paragraph(status: DeploymentStatus, now: datetime) -> Iterator[str]:
    """Yield the lines of one device.

    Args:
        status: The verdict.
        now: The time in UTC.
    """
    reason = "" if status.state is State.SUCCESSFUL else f" ({status.reason})"
    flags = f" [{', '.join(status.flags)}]" if status.flags else ""
    yield f"{_name(status)}: {status.state}{reason}{flags}"
    if status.state is not State.SUCCESSFUL:
        yield f"  {status.message}"
    for name, module in status.modules.items():
        restarts = restarts_in_words(module.restart_count, module.last_exit, now)
        if module.state is ModuleState.SETTLED and module.restart_count:
            yield f"  {name}: settled, {restarts or f'restarts: {module.restart_count}'}"
        elif module.state is not ModuleState.SETTLED and module.state not in _SHOWN_ON_DEVICE:
            yield f"  {name}: {module.state} ({module.reason}){f', {restarts}' if _has_exited(module) else ''}"
            if module.cause is None or module.cause != status.cause:  # else the device's message covers it
                yield f"    {module.message}"
    yield from (f"  lint: {finding}" for finding in status.lint)


class Summary:
    """Counts the states and causes of a fleet."""

    def __init__(self) -> None:
        self._states = Counter[State]()
        self._devices = defaultdict[Cause, list[str]](list)

    def add(self, status: DeploymentStatus) -> None:
        """Count one device, once for each of its causes."""
        self._states[status.state] += 1
        causes = [status.cause, *(module.cause for module in status.modules.values())]
        for cause in dict.fromkeys(cause for cause in causes if cause is not None):
            self._devices[cause].append(_name(status))

    def lines(self) -> Iterator[str]:
        """Yield the counts of states, then each cause with its devices, most devices first."""
        counts = ", ".join(f"{count} {state}" for state, count in self._states.most_common())
        yield f"{_devices(self._states.total())}: {counts}"
        for cause, names in sorted(self._devices.items(), key=lambda item: (-len(item[1]), str(item[0]))):
            more = len(names) - _NAMED_DEVICES
            yield ""
            yield f"{_devices(len(names))}: {cause}"
            yield f"  {cause.reason.means} {cause.reason.advice}"
            yield f"  {', '.join(names[:_NAMED_DEVICES])}{f' and {more} more' if more > 0 else ''}"


def _has_exited(module: ModuleStatus) -> bool:
    return (
        module.state is ModuleState.WRONG_STATUS
        and module.reason
        not in (
            Reason.STILL_RUNNING,
            Reason.NEVER_STARTED,
        )
        and module.last_exit is not None
    )


def _name(status: DeploymentStatus) -> str:
    return clean(status.device_id, NAME_LIMIT) or "(no deviceId)"


def _devices(count: int) -> str:
    return f"{count:,} device{'' if count == 1 else 's'}"
