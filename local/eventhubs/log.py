"""The contents of an event hub: one log of events for each partition."""

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
    """One event of a partition, decoded for tests.

    Attributes:
        partition_id: Its partition.
        sequence_number: Its number in the partition, from 0 without gaps.
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
    """A message in a partition. `offset` counts the bytes before it."""

    sequence_number: int
    offset: int
    enqueued_time: datetime
    message: Message

    def encode(self) -> bytes:
        """Encode the message as a consumer receives it."""
        place = {
            SEQUENCE_NUMBER: self.sequence_number,
            OFFSET: str(self.offset),
            ENQUEUED_TIME: self.enqueued_time,
        }
        return self.message.encode(place)


class PartitionLog:
    """The events of one partition in order of arrival. Nothing is ever removed.

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
        """The number of the newest event, -1 if there is none."""
        return len(self.entries) - 1

    @property
    def last_offset(self) -> str:
        """The offset of the newest event, "-1" if there is none."""
        return str(self.entries[-1].offset) if self.entries else "-1"

    @property
    def last_enqueued_time(self) -> datetime:
        """When the newest event was stored, the start of year 1 if there is none."""
        return self.entries[-1].enqueued_time if self.entries else _NEVER

    def append(self, messages: Sequence[Message], now: datetime) -> None:
        """Store messages. A time earlier than the newest event's is replaced by that, so that times never go back."""
        enqueued_time = max(now, self.last_enqueued_time)
        for message in messages:
            self.entries.append(Entry(len(self.entries), self._size, enqueued_time, message))
            self._size += len(message.bare) + 1  # so that an empty message has its own offset, too
        for callback in tuple(self.on_append):
            callback()

    def start(self, selector: str | None) -> int:
        """Return the index of the first event for a consumer.

        Args:
            selector: A filter such as `amqp.annotation.x-opt-offset > '120'`; None starts at the first event.

        Raises:
            AmqpError: Event Hubs does not know such a selector.
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
            raise AmqpError(Condition.ARGUMENT_ERROR, f"The position {text!r} is not a number.") from None
        bisect = bisect_right if operator == ">" else bisect_left
        return bisect(self.entries, number, key=_POSITIONS[name])

    def stored(self) -> list[StoredEvent]:
        """Decode all events."""
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
        created_at: When it was created.
    """

    def __init__(self, name: str, partitions: int, now: Callable[[], datetime]) -> None:
        self.name = name
        self.partitions = {str(number): PartitionLog(str(number)) for number in range(partitions)}
        self.created_at = now()
        self._now = now
        self._turn = count()

    def partition(self, partition_id: str) -> PartitionLog:
        """Return the log of a partition.

        Raises:
            AmqpError: There is no such partition.
        """
        if partition_id not in self.partitions:
            raise AmqpError(Condition.NOT_FOUND, f"Event hub {self.name!r} has no partition {partition_id!r}.")
        return self.partitions[partition_id]

    def store(self, messages: Sequence[Message], partition_id: str | None = None) -> PartitionLog:
        """Store messages that were sent together: in the given partition, or their key's, or the next one in turn.

        Returns:
            The log that they were stored in.
        """
        key = partition_key(messages[0]) if messages else None
        if partition_id is None:
            number = next(self._turn) if key is None else crc32(key.encode())
            partition_id = str(number % len(self.partitions))
        log = self.partition(partition_id)
        log.append(messages, self._now())
        return log


def partition_key(message: Message) -> str | None:
    """Return the partition key of a message. The SDK sends a key of bytes as bytes."""
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
