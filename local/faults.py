"""Answers of a stand-in that a test orders in advance: refusals, bodies, cut connections, lost answers, delays."""

from collections import defaultdict, deque
from dataclasses import dataclass
from itertools import repeat


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one call.

    Attributes:
        status: HTTP status of the refusal; None: no refusal.
        retry_after: Value of its header Retry-After; None: no such header.
        code: The service's own code of the refusal; None: the usual one of the status.
        body: A 200 with this body in place of the answer; None: none.
        cut: The connection is closed, and the call not done.
        lost: The call is done, and the connection closed in place of its answer.
        half: The call is done, and the connection closed within its answer.
        delay: Seconds until the call is looked at.
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
    """Faults in store, used up by calls in the order in which they were added, each operation by itself."""

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
        """The next `count` calls are refused with an HTTP status (429, 500, 503, ...)."""
        self._put(op, Fault(status=status, retry_after=retry_after, code=code), count)

    def answer(self, op: Operation, body: bytes, count: int = 1) -> None:
        """The next `count` calls get a 200 with this body, whatever they ask for."""
        self._put(op, Fault(body=body), count)

    def cut(self, op: Operation, count: int = 1) -> None:
        """The next `count` calls find their connection closed, and are not done."""
        self._put(op, Fault(cut=True), count)

    def cut_after(self, op: Operation, count: int = 1) -> None:
        """The next `count` calls are done, and their answers get lost with the connection."""
        self._put(op, Fault(lost=True), count)

    def cut_within(self, op: Operation, count: int = 1) -> None:
        """The next `count` calls are done, and half of their answers comes."""
        self._put(op, Fault(half=True), count)

    def delay(self, op: Operation, seconds: float, count: int = 1) -> None:
        """The next `count` calls are answered late."""
        self._put(op, Fault(delay=seconds), count)

    def clear(self) -> None:
        """Takes back whatever is left."""
        self._queues.clear()

    def take(self, op: Operation) -> Fault | None:
        """The fault of the call that just came in."""
        queue = self._queues[op]
        while queue:
            fault = next(queue[0], None)
            if fault is not None:
                return fault
            queue.popleft()
        return None

    def _put(self, op: Operation, fault: Fault, count: int) -> None:
        self._queues[op].append(repeat(fault, count))
