"""The results of a run over many devices. A failed device costs no other its turn, and fails the run at its end."""

from collections import Counter
from collections.abc import Iterable

from status_app.errors import OutOfTimeError, UnavailableError
from status_app.reconcile.tasks import Outcome, Result
from status_app.telemetry.logs import log

_log = log(__name__)


class RunReport:
    """Counts the outcomes of a run's devices, and collects their errors.

    Attributes:
        outcomes: How many devices had which outcome; `failed` for errors.
        errors: The errors.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.errors: list[Exception] = []

    def add(self, results: Iterable[Result]) -> None:
        """Add results."""
        for result in results:
            if result.error is None:
                assert isinstance(result.outcome, Outcome)  # noqa: S101 (a task ends with one of the two)
                self.outcomes[result.outcome.value] += 1
                continue
            if not isinstance(result.error, UnavailableError):
                _log.error("device %r: a bug", result.task.device_id, exc_info=result.error)
            self.outcomes["failed"] += 1
            self.errors.append(result.error)

    def leave(self, count: int) -> None:
        """Count devices that are left for the next run because the time was over."""
        if count:
            self.outcomes["left"] += count
            self.errors.append(OutOfTimeError("a service", f"the time of this run is over, {count} devices are left"))

    def finish(self, name: str) -> None:
        """Log the outcomes of a timer's run.

        Raises:
            ExceptionGroup: Something failed, and is left for the next run.
        """
        _log.info("%s: %s", name, dict(self.outcomes))
        if self.errors:
            raise ExceptionGroup(f"{name}: {len(self.errors)} failed, left for the next run", self.errors)
