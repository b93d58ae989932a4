"""Responses: JSON with an ETag, and problems (RFC 9457)."""

import hashlib
import json
import logging
import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import azure.functions as func

from status_app.errors import StatusAppError, UnavailableError
from status_app.http.parameters import ParameterError
from status_app.queries import FilterError, PlaceError

RETRY_AFTER: Final = 5
"""Seconds after which a client may try the table service again."""
HEADERS: Final = {
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every response: nothing in it may be run by a browser, and its address may hold a key."""

_JSON: Final = "application/json"
_CSV: Final = "text/csv"
_PROBLEM: Final = "application/problem+json"
_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Csv:
    """A page of a list as CSV. `next` has the parameters of the next page; empty at the end."""

    text: str
    next: str = ""


class NotFoundError(StatusAppError):
    """What is asked for is not known. The message says what."""


async def answered(
    request: func.HttpRequest, answer: Awaitable[Any], mimetype: str = "application/json"
) -> func.HttpResponse:
    """Create the response to a request, or a problem response.

    Args:
        request: The request.
        answer: Returns the body: a value for JSON, a page of CSV, or a text of another type.
        mimetype: The type, unless it is a page of CSV.
    """
    headers, kind = dict(HEADERS), mimetype
    try:
        found = await answer
        if isinstance(found, Csv):
            body, kind = found.text.encode("utf-8", "replace"), _CSV
            headers |= {"Link": f'<?{found.next}>; rel="next"'} if found.next else {}
        else:
            body = (json.dumps(found) if kind == _JSON else found).encode("utf-8", "replace")
    except (ParameterError, FilterError) as error:
        return problem(HTTPStatus.BAD_REQUEST, str(error))
    except PlaceError:
        return problem(HTTPStatus.BAD_REQUEST, "next is not a place in this list: start without it")
    except NotFoundError as error:
        return problem(HTTPStatus.NOT_FOUND, str(error))
    except UnavailableError as error:
        _log.warning("%s", error)
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "the table service does not answer now: try again later")
    headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    if is_known(headers["ETag"], request.headers.get("if-none-match", "")):
        return func.HttpResponse(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return func.HttpResponse(body, headers=headers, mimetype=kind)


def problem(status: HTTPStatus, detail: str) -> func.HttpResponse:
    """Create a problem response with a sentence that explains it."""
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    return plain(status, body, _PROBLEM)


def plain(status: HTTPStatus, body: Mapping[str, Any], mimetype: str = _JSON) -> func.HttpResponse:
    """Create a response without an ETag."""
    headers = dict(HEADERS)
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER)
    return func.HttpResponse(json.dumps(body), status_code=status, headers=headers, mimetype=mimetype)


def is_known(etag: str, condition: str) -> bool:
    """Whether an ETag is in `If-None-Match`, weak ones included."""
    return condition.strip() == "*" or etag in _TAG.findall(condition)
