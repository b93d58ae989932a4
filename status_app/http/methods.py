"""What all routes share: HEAD and OPTIONS besides GET, and gzip for clients that accept it."""

import gzip
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import azure.functions as func

from status_app.http.responses import HEADERS

METHODS: Final = (func.HttpMethod.GET, func.HttpMethod.HEAD, func.HttpMethod.OPTIONS)
"""The methods of a route. The host answers any other method itself, with 404."""
LEAST: Final = 1_024
"""Bytes of the shortest body that is compressed. A shorter one fits into one packet anyway."""

type Trigger = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]

_LEVEL: Final = 6
_VARY: Final = "Accept-Encoding"
_ALLOW: Final = ", ".join(method.value for method in METHODS)
_CODING: Final = re.compile(r"\s*([^\s;,]+)\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?", re.IGNORECASE)


def served(trigger: Trigger) -> Trigger:
    """Wrap a trigger that answers GET, so that it takes all methods.

    HEAD is answered like GET, with its headers: the server drops the body.
    """

    async def serve(req: func.HttpRequest) -> func.HttpResponse:
        if req.method == func.HttpMethod.OPTIONS.value:
            return func.HttpResponse(status_code=HTTPStatus.NO_CONTENT, headers={**HEADERS, "Allow": _ALLOW})
        return encoded(await trigger(req), req.headers.get("accept-encoding", ""))

    return serve


def encoded(response: func.HttpResponse, accepted: str) -> func.HttpResponse:
    """Compress a response if the client accepts that and it is worthwhile.

    Its ETag becomes weak then: the same answer has other bytes (RFC 9110, 8.8.1).

    Args:
        response: The response.
        accepted: The request's `Accept-Encoding` header.
    """
    body, headers = response.get_body(), {**response.headers, "Vary": _VARY}
    if len(body) >= LEAST and takes_gzip(accepted):
        body = gzip.compress(body, _LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
        if "ETag" in headers:
            headers["ETag"] = f"W/{headers['ETag']}"
    return func.HttpResponse(body, status_code=response.status_code, headers=headers, mimetype=response.mimetype)


def takes_gzip(accepted: str) -> bool:
    """Whether a client accepts gzip according to its `Accept-Encoding`: as listed there, else as `*` is.

    Anything missing or unreadable counts as not accepted: every client can read the plain body.
    """
    weights: dict[str, float] = {}
    for part in accepted.split(","):
        coding = _CODING.fullmatch(part)
        if coding is not None:
            weights[coding[1].lower()] = _weight(coding[2])
    return weights.get("gzip", weights.get("*", 0.0)) > 0.0


def _weight(text: str | None) -> float:
    try:
        return 1.0 if text is None else float(text)
    except ValueError:
        return 0.0
