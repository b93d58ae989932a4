"""Answers that a test orders in advance: refusals, cut connections, delays."""

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Literal

type Operation = Literal["read", "query"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one call.

    Attributes:
        status: HTTP status of the refusal; None: no refusal.
        retry_after: Seconds for the header Retry-After; None: no such header.
        cut: The connection is closed without an answer.
        delay: Seconds until the call is looked at.
    """

    status: int | None = None
    retry_after: float | None = None
    cut: bool = False
    delay: float = 0.0


class Faults:
    """Faults in store, used up by calls in the order in which they were added."""

    def __init__(self) -> None:
        self._queues: defaultdict[Operation, deque[Fault]] = defaultdict(deque)

    def add(self, op: Operation, status: int, count: int = 1, *, retry_after: float | None = None) -> None:
        """The next `count` calls are refused with an HTTP status (429, 500, 503, ...)."""
        self._put(op, Fault(status=status, retry_after=retry_after), count)

    def cut(self, op: Operation, count: int = 1) -> None:
        """The next `count` calls find their connection closed."""
        self._put(op, Fault(cut=True), count)

    def delay(self, op: Operation, seconds: float, count: int = 1) -> None:
        """The next `count` calls are answered late."""
        self._put(op, Fault(delay=seconds), count)

    def clear(self) -> None:
        """Takes back whatever is left."""
        self._queues.clear()

    def take(self, op: Operation) -> Fault | None:
        """The fault of the call that just came in."""
        queue = self._queues[op]
        return queue.popleft() if queue else None

    def _put(self, op: Operation, fault: Fault, count: int) -> None:
        self._queues[op].extend([fault] * count)
