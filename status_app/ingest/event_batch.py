"""An event of the hub `twin-changes`, independent of how the Functions worker passes it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import azure.functions as func


@dataclass(frozen=True, slots=True)
class IncomingEvent:
    """One event. Partition and sequence number identify it; an offset may be reused.

    Attributes:
        properties: Application properties: `opType`, `deviceId`, `iothub-message-schema`, ...
        system_properties: What IoT Hub adds, without the prefix `iothub-`: `connection-device-id`, ...
        enqueued_time: In UTC; None if the host did not say.
    """

    body: bytes
    properties: Mapping[str, Any]
    system_properties: Mapping[str, Any]
    partition_id: str
    sequence_number: int
    enqueued_time: datetime | None


def read_batch(events: Sequence[func.EventHubEvent]) -> list[IncomingEvent]:
    """Read the events of one invocation with cardinality many.

    Each event carries the metadata of the whole batch, and decodes it on each access. So only the first event is asked.
    The arrays are in the order of the events.
    """
    if not events:
        return []
    metadata = events[0].metadata or {}
    properties = _array(metadata.get("PropertiesArray"), len(events))
    partition = _object(metadata.get("PartitionContext")).get("PartitionId")
    return [
        IncomingEvent(
            body=event.get_body(),
            properties=_object(properties[index]),
            system_properties=event.iothub_metadata or {},
            partition_id=str(partition if partition is not None else "unknown"),
            sequence_number=event.sequence_number or 0,
            enqueued_time=event.enqueued_time.replace(tzinfo=UTC) if event.enqueued_time else None,
        )
        for index, event in enumerate(events)
    ]


def _array(value: Any, length: int) -> Sequence[Any]:
    found = _read(value)
    return found if isinstance(found, list) and len(found) == length else [{}] * length


def _object(value: Any) -> Mapping[str, Any]:
    found = _read(value)
    return found if isinstance(found, dict) else {}


def _read(value: Any) -> Any:
    """Parse a text as JSON; None if it is not JSON, which spoils its event but not the batch."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None
