"""A batch of events as the Event Hubs extension passes it to a function (cardinality many, data type binary).

The metadata follows EventHubTriggerBindingStrategy of the extension: one entry per event in each array.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from azure.eventhub import EventData
from azure.eventhub.amqp import AmqpMessageBodyType

from local.host.messages import CollectionBytes, CollectionSInt64, CollectionString, TypedData

_UNKNOWN_OFFSET = -1


def sequence_number(event: EventData) -> int:
    """Return the event's sequence number. Received events always have one."""
    number = event.sequence_number
    if number is None:
        raise ValueError("an event without a sequence number was not received from a partition")
    return number


def event_bodies(events: Sequence[EventData]) -> TypedData:
    """Return the bodies, byte for byte."""
    return TypedData(collection_bytes=CollectionBytes(bytes=[_body(event) for event in events]))


def trigger_metadata(events: Sequence[EventData], context: dict[str, str | bool]) -> dict[str, TypedData]:
    """Return the metadata; `context` is the partition's (`PartitionId`, `EventHubName`, `ConsumerGroup`, ...)."""
    system_properties = [_system_properties(event) for event in events]
    partition_context = TypedData(json=json.dumps(context))
    return {
        "TriggerPartitionContext": partition_context,
        "PartitionContext": partition_context,
        # The real host omits nulls here, so only this array is not aligned with the batch.
        "PartitionKeyArray": _texts(
            [properties["PartitionKey"] for properties in system_properties if properties["PartitionKey"] is not None]
        ),
        "OffsetArray": _texts([str(properties["Offset"]) for properties in system_properties]),
        "OffsetStringArray": _texts([properties["OffsetString"] or "" for properties in system_properties]),
        "SequenceNumberArray": TypedData(
            collection_sint64=CollectionSInt64(
                sint64=[properties["SequenceNumber"] for properties in system_properties]
            )
        ),
        "EnqueuedTimeUtcArray": TypedData(
            json=json.dumps([properties["EnqueuedTimeUtc"] for properties in system_properties])
        ),
        "PropertiesArray": TypedData(json=json.dumps([_plain(event.properties or {}) for event in events])),
        "SystemPropertiesArray": TypedData(json=json.dumps(system_properties)),
    }


def _body(event: EventData) -> bytes:
    if event.body_type == AmqpMessageBodyType.DATA:
        return b"".join(event.body)  # type: ignore[arg-type] # a body of type DATA is an iterable of bytes
    # Other AMQP bodies are not bytes: use their text, so that one odd sender does not block a partition.
    return event.body_as_str().encode()


def _system_properties(event: EventData) -> dict[str, Any]:
    offset = event.offset
    partition_key = event.partition_key
    return {
        **_plain(event.system_properties),
        "SequenceNumber": sequence_number(event),
        "Offset": int(offset) if offset and offset.removeprefix("-").isdecimal() else _UNKNOWN_OFFSET,
        "OffsetString": offset,
        "PartitionKey": None if partition_key is None else partition_key.decode(),
        "EnqueuedTimeUtc": _naive_utc(event.enqueued_time),
    }


def _naive_utc(time: datetime | None) -> str:
    """Format a time without a zone, as the extension does: apps get naive UTC times."""
    return (time or datetime.min.replace(tzinfo=UTC)).astimezone(UTC).replace(tzinfo=None).isoformat()


def _texts(values: Sequence[str]) -> TypedData:
    return TypedData(collection_string=CollectionString(string=values))


def _plain(value: Any) -> Any:
    """Convert an AMQP value to JSON: text for bytes and for types that JSON lacks."""
    match value:
        case dict():
            return {_text(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case None | bool() | int() | float():
            return value
        case _:
            return _text(value)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
