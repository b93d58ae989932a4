"""What a run over many devices came to: one that fails costs no other its turn, and fails the run at its end."""

from collections import Counter
from collections.abc import Iterable

from status_app.errors import UnavailableError
from status_app.reconcile.tasks import Outcome, Result
from status_app.telemetry.logs import log

_log = log(__name__)


class RunReport:
    """Counts what the devices of a run came to, and keeps their errors.

    Attributes:
        outcomes: How many devices came to what; `failed` for those that raised.
        errors: What they raised.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.errors: list[Exception] = []

    def add(self, results: Iterable[Result]) -> None:
        """Add results."""
        for result in results:
            if result.error is None:
                assert isinstance(result.outcome, Outcome)  # noqa: S101 (a task ends with one of the two)
                self.outcomes[result.outcome] += 1
                continue
            if not isinstance(result.error, UnavailableError):
                _log.error("device %r: a bug", result.task.device_id, exc_info=result.error)
            self.outcomes["failed"] += 1
            self.errors.append(result.error)

    def finish(self, name: str) -> None:
        """Log what the run of a timer came to.

        Raises:
            ExceptionGroup: Something failed, and is left for the next run.
        """
        _log.info("%s: %s", name, dict(self.outcomes))
        if self.errors:
            raise ExceptionGroup(f"{name}: {len(self.errors)} failed, left for the next run", self.errors)
