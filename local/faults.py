"""Faults that a test schedules for a stand-in: refusals, bodies, cut connections, lost answers, delays."""

from collections import defaultdict, deque
from dataclasses import dataclass
from itertools import repeat


@dataclass(frozen=True, slots=True)
class Fault:
    """The fault of one call.

    Attributes:
        status: HTTP status of the refusal; None: no refusal.
        retry_after: Value of the header Retry-After; None: no such header.
        code: The service's own code of the refusal; None: the usual one of the status.
        body: Body of a 200 that replaces the answer; None: no replacement.
        cut: The connection is closed, and the call is not executed.
        lost: The call is executed, but the connection is closed instead of an answer.
        half: The call is executed, but the connection is closed within the answer.
        delay: Seconds before the call is handled.
    """

    status: int | None = None
    retry_after: float | str | None = None
    code: str | None = None
    body: bytes | None = None
    cut: bool = False
    lost: bool = False
    half: bool = False
    delay: float = 0.0


class Faults[Operation: str]:
    """Scheduled faults, consumed by calls in the order they were added, per operation."""

    def __init__(self) -> None:
        self._queues: defaultdict[Operation, deque[repeat[Fault]]] = defaultdict(deque)

    def add(
        self,
        op: Operation,
        status: int,
        count: int = 1,
        *,
        retry_after: float | str | None = None,
        code: str | None = None,
    ) -> None:
        """Refuse the next `count` calls with an HTTP status (429, 500, 503, ...)."""
        self._put(op, Fault(status=status, retry_after=retry_after, code=code), count)

    def answer(self, op: Operation, body: bytes, count: int = 1) -> None:
        """Answer the next `count` calls with a 200 and this body."""
        self._put(op, Fault(body=body), count)

    def cut(self, op: Operation, count: int = 1) -> None:
        """Close the connections of the next `count` calls, without executing them."""
        self._put(op, Fault(cut=True), count)

    def cut_after(self, op: Operation, count: int = 1) -> None:
        """Execute the next `count` calls, but close their connections before the answer."""
        self._put(op, Fault(lost=True), count)

    def cut_within(self, op: Operation, count: int = 1) -> None:
        """Execute the next `count` calls, but send only half of each answer."""
        self._put(op, Fault(half=True), count)

    def delay(self, op: Operation, seconds: float, count: int = 1) -> None:
        """Delay the next `count` calls."""
        self._put(op, Fault(delay=seconds), count)

    def clear(self) -> None:
        """Remove all scheduled faults."""
        self._queues.clear()

    def take(self, op: Operation) -> Fault | None:
        """Take the fault for the call that just arrived."""
        queue = self._queues[op]
        while queue:
            fault = next(queue[0], None)
            if fault is not None:
                return fault
            queue.popleft()
        return None

    def _put(self, op: Operation, fault: Fault, count: int) -> None:
        self._queues[op].append(repeat(fault, count))
