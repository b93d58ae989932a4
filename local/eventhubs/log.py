"""What an event hub holds: one log of events for each of its partitions."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from zlib import crc32

from local.eventhubs.errors import AmqpError, Condition
from local.eventhubs.message import Message

SEQUENCE_NUMBER, OFFSET = "x-opt-sequence-number", "x-opt-offset"
ENQUEUED_TIME, PARTITION_KEY = "x-opt-enqueued-time", "x-opt-partition-key"

_SELECTOR = re.compile(rf"amqp\.annotation\.({SEQUENCE_NUMBER}|{OFFSET}|{ENQUEUED_TIME}) (>=?) '([^']*)'")
_LATEST = "@latest"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event of a partition, as a test wants to see it.

    Attributes:
        partition_id: The partition that holds it.
        sequence_number: Its place in the partition, from 0 on without gaps.
        offset: The offset as Event Hubs writes it.
        enqueued_time: When it was stored.
        partition_key: The key that it was sent with, if any.
        body: The data of the body, byte for byte.
        properties: The application properties.
        system_properties: Message annotations and message properties (`content-type`, ...), by name.
    """

    partition_id: str
    sequence_number: int
    offset: str
    enqueued_time: datetime
    partition_key: str | None
    body: bytes
    properties: Mapping[str, Any]
    system_properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A message in its place: `offset` grows with the bytes before it in the partition."""

    sequence_number: int
    offset: int
    enqueued_time: datetime
    message: Message

    def encode(self) -> bytes:
        """The message as a consumer gets it."""
        place = {
            SEQUENCE_NUMBER: self.sequence_number,
            OFFSET: str(self.offset),
            ENQUEUED_TIME: self.enqueued_time,
        }
        return self.message.encode(place)


class PartitionLog:
    """The events of one partition in the order in which they came. Nothing is ever removed.

    Attributes:
        partition_id: The name of the partition: its number.
        entries: All events.
        on_append: Called after each append.
    """

    def __init__(self, partition_id: str) -> None:
        self.partition_id = partition_id
        self.entries: list[Entry] = []
        self.on_append: set[Callable[[], None]] = set()
        self._size = 0

    @property
    def last_sequence_number(self) -> int:
        """The number of the newest event, -1 where there is none."""
        return len(self.entries) - 1

    @property
    def last_offset(self) -> str:
        """The offset of the newest event, "-1" where there is none."""
        return str(self.entries[-1].offset) if self.entries else "-1"

    @property
    def last_enqueued_time(self) -> datetime:
        """When the newest event was stored, the first moment of year 1 where there is none."""
        return self.entries[-1].enqueued_time if self.entries else _NEVER

    def append(self, messages: Sequence[Message], now: datetime) -> None:
        """Store messages; a time before that of the newest event counts as the same, as time runs one way in a log."""
        enqueued_time = max(now, self.last_enqueued_time)
        for message in messages:
            self.entries.append(Entry(len(self.entries), self._size, enqueued_time, message))
            self._size += len(message.bare) + 1  # an empty message has a place of its own, too
        for callback in tuple(self.on_append):
            callback()

    def start(self, selector: str | None) -> int:
        """The index of the first event that a consumer gets.

        Args:
            selector: A filter such as `amqp.annotation.x-opt-offset > '120'`; without one, all events are meant.

        Raises:
            AmqpError: The selector is none that Event Hubs knows.
        """
        if selector is None:
            return 0
        match = _SELECTOR.fullmatch(selector)
        if match is None:
            raise AmqpError(Condition.ARGUMENT_ERROR, f"The filter {selector!r} is not supported.")
        name, operator, text = match.groups()
        if name == OFFSET and text == _LATEST:
            return len(self.entries)
        try:
            number = int(text)
        except ValueError:
            raise AmqpError(Condition.ARGUMENT_ERROR, f"The position {text!r} is no number.") from None
        bisect = bisect_right if operator == ">" else bisect_left
        return bisect(self.entries, number, key=_POSITIONS[name])

    def stored(self) -> list[StoredEvent]:
        """All events, decoded."""
        return [self._stored(entry) for entry in self.entries]

    def _stored(self, entry: Entry) -> StoredEvent:
        message = entry.message
        annotations = {name: message.annotation(name) for name in message.annotations}
        return StoredEvent(
            partition_id=self.partition_id,
            sequence_number=entry.sequence_number,
            offset=str(entry.offset),
            enqueued_time=entry.enqueued_time,
            partition_key=partition_key(message),
            body=b"".join(message.data()),
            properties=message.application_properties(),
            system_properties={**message.properties(), **annotations},
        )


class Hub:
    """One event hub.

    Attributes:
        name: Its name.
        partitions: Its logs by partition id.
        created_at: When it was made.
    """

    def __init__(self, name: str, partitions: int, now: Callable[[], datetime]) -> None:
        self.name = name
        self.partitions = {str(number): PartitionLog(str(number)) for number in range(partitions)}
        self.created_at = now()
        self._now = now
        self._turn = count()

    def partition(self, partition_id: str) -> PartitionLog:
        """The log of a partition.

        Raises:
            AmqpError: There is no such partition.
        """
        if partition_id not in self.partitions:
            raise AmqpError(Condition.NOT_FOUND, f"Event hub {self.name!r} has no partition {partition_id!r}.")
        return self.partitions[partition_id]

    def store(self, messages: Sequence[Message], partition_id: str | None = None) -> PartitionLog:
        """Store messages that were sent together: in this partition, else in that of their key, else in the next one.

        Returns:
            The log that holds them now.
        """
        key = partition_key(messages[0]) if messages else None
        if partition_id is None:
            number = next(self._turn) if key is None else crc32(key.encode())
            partition_id = str(number % len(self.partitions))
        log = self.partition(partition_id)
        log.append(messages, self._now())
        return log


def partition_key(message: Message) -> str | None:
    """The key that a message was sent with; the SDK sends a key of bytes as bytes."""
    key = message.annotation(PARTITION_KEY)
    if isinstance(key, bytes):
        return key.decode(errors="backslashreplace")
    return None if key is None else str(key)


def _milliseconds(entry: Entry) -> int:
    return (entry.enqueued_time - _EPOCH) // timedelta(milliseconds=1)


_POSITIONS: Mapping[str, Callable[[Entry], int]] = {
    SEQUENCE_NUMBER: lambda entry: entry.sequence_number,
    OFFSET: lambda entry: entry.offset,
    ENQUEUED_TIME: _milliseconds,
}
