"""The two nodes that answer requests: `$cbs` checks tokens, `$management` describes hubs and partitions."""

from collections.abc import Mapping
from http import HTTPStatus

from local.eventhubs.errors import AmqpError
from local.eventhubs.log import Hub
from local.eventhubs.message import Message, encode_response

_HUB, _PARTITION = "com.microsoft:eventhub", "com.microsoft:partition"


def answer_cbs(request: Message, *, locked: bool) -> bytes:
    """Accept any token, because the stand-in has no secrets; or none while it is locked."""
    if locked:
        return _response(request, HTTPStatus.UNAUTHORIZED, "The token is refused.")
    if request.application_properties().get("operation") != "put-token":
        return _response(request, HTTPStatus.BAD_REQUEST, "The only operation is put-token.")
    return _response(request, HTTPStatus.ACCEPTED, "Accepted")


def answer_management(hubs: Mapping[str, Hub], request: Message) -> bytes:
    """Describe an event hub or a partition."""
    asked = request.application_properties()
    if asked.get("operation") != "READ" or asked.get("type") not in {_HUB, _PARTITION}:
        return _response(request, HTTPStatus.BAD_REQUEST, "Only event hubs and partitions can be read.")
    name = str(asked.get("name"))
    if name not in hubs:
        return _response(request, HTTPStatus.NOT_FOUND, f"The messaging entity {name!r} could not be found.")
    hub = hubs[name]
    if asked["type"] == _HUB:
        return _response(request, HTTPStatus.OK, "OK", _describe_hub(hub))
    try:
        return _response(request, HTTPStatus.OK, "OK", _describe_partition(hub, str(asked.get("partition"))))
    except AmqpError as error:
        return _response(request, HTTPStatus.NOT_FOUND, error.description)


def _describe_hub(hub: Hub) -> dict[str, object]:
    return {
        "name": hub.name,
        "type": _HUB,
        "created_at": hub.created_at,
        "partition_count": len(hub.partitions),
        "partition_ids": tuple(hub.partitions),
    }


def _describe_partition(hub: Hub, partition_id: str) -> dict[str, object]:
    log = hub.partition(partition_id)
    return {
        "name": hub.name,
        "type": _PARTITION,
        "partition": log.partition_id,
        "begin_sequence_number": 0,
        "last_enqueued_sequence_number": log.last_sequence_number,
        "last_enqueued_offset": log.last_offset,
        "last_enqueued_time_utc": log.last_enqueued_time,
        "is_partition_empty": not log.entries,
    }


def _response(
    request: Message, status: HTTPStatus, description: str, body: Mapping[str, object] | None = None
) -> bytes:
    properties = {"status-code": int(status), "status-description": description}
    return encode_response(request.properties().get("message-id"), properties, None if body is None else dict(body))
