"""Counts answers of the table service by table, operation and outcome."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from azure.core.pipeline import PipelineResponse

from status_app.telemetry import meters

OPERATIONS: Final = {"POST": "insert", "PUT": "replace", "PATCH": "merge", "DELETE": "delete"}
"""What a method does to one entity. A GET is `get` or `query`, and a batch is `transaction`."""

_TABLE: Final = re.compile(r"/(\w+)(\(.*)?$")
"""The table in the path of an address, and the keys of an entity, if any, in parentheses."""
_OPERATION: Final = re.compile(rb"^[A-Z]+ (http\S+) HTTP/", re.MULTILINE)
"""An operation in the body of a transaction, with its address."""
_OUTCOMES: Final[Mapping[int, str]] = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.CONFLICT: "conflict",
    HTTPStatus.PRECONDITION_FAILED: "conflict",
    HTTPStatus.TOO_MANY_REQUESTS: "busy",
    HTTPStatus.SERVICE_UNAVAILABLE: "busy",
}


def record_answer(response: PipelineResponse[Any, Any]) -> None:
    """Record an answer, except one to an accepted transaction, whose result is in the unread body."""
    if not meters.is_heard():
        return
    request, status = response.http_request, response.http_response.status_code
    address = request.url.partition("?")[0]
    is_batch = address.endswith("/$batch")
    if is_batch and status == HTTPStatus.ACCEPTED:
        return
    if is_batch:
        first = _OPERATION.search(request.content)
        address = first[1].decode() if first else ""
    found = _TABLE.search(address)
    table, keys = (found[1], found[2] or "") if found else ("other", "")
    if is_batch:
        op = "transaction"
    elif request.method == "GET":
        op = "get" if "=" in keys else "query"
    else:
        op = OPERATIONS.get(request.method, "other")
    record(table, op, status)


def record(table: str, op: str, status: int) -> None:
    """Record the result of an operation on a table, or of a transaction."""
    outcome = _OUTCOMES.get(status, "ok" if status < HTTPStatus.BAD_REQUEST else "failed")
    meters.record(meters.TABLE_REQUESTS, 1, {"table": table, "op": op, "outcome": outcome})
