"""Answers of the table service, counted by table, operation and outcome."""

import re
from http import HTTPStatus
from typing import Any, Final

from azure.core.pipeline import PipelineResponse

from status_app.telemetry import meters

OPERATIONS: Final = {"POST": "insert", "PUT": "replace", "PATCH": "merge", "DELETE": "delete"}
"""What a method does to one entity. A GET is `get` or `query`, and a batch is `transaction`."""

_TABLE: Final = re.compile(r"/(\w+)(\(.*)?$")
"""The table in the path of an address, and the keys of an entity, if there are any, in brackets."""
_OUTCOMES: Final = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.CONFLICT: "conflict",
    HTTPStatus.PRECONDITION_FAILED: "conflict",
    HTTPStatus.TOO_MANY_REQUESTS: "busy",
    HTTPStatus.SERVICE_UNAVAILABLE: "busy",
}


def record_answer(response: PipelineResponse[Any, Any]) -> None:
    """Record an answer.

    One to a transaction has come when its body has not: that an operation in it was refused is in the body, so its
    outcome is that of the transaction as a message.
    """
    if not meters.is_heard():
        return
    request, status = response.http_request, response.http_response.status_code
    is_batch = bool(request.multipart_mixed_info)
    entity = request.multipart_mixed_info[0][0].multipart_mixed_info[0][0] if is_batch else request
    found = _TABLE.search(entity.url.partition("?")[0])
    table, keys = (found[1], found[2] or "") if found else ("other", "")
    if is_batch:
        op = "transaction"
    elif request.method == "GET":
        op = "get" if "=" in keys else "query"
    else:
        op = OPERATIONS.get(request.method, "other")
    outcome = _OUTCOMES.get(status, "ok" if status < HTTPStatus.BAD_REQUEST else "failed")
    meters.record(meters.TABLE_REQUESTS, 1, {"table": table, "op": op, "outcome": outcome})
