"""What holds for every route: HEAD and OPTIONS beside GET, and gzip for whoever takes it."""

import gzip
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import azure.functions as func

from status_app.http.responses import HEADERS

METHODS: Final = (func.HttpMethod.GET, func.HttpMethod.HEAD, func.HttpMethod.OPTIONS)
"""What a route takes. The host answers any other method itself, with 404."""
LEAST: Final = 1_024
"""Bytes of the shortest body that is compressed: a shorter one fits into one packet anyway."""

type Trigger = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]

_LEVEL: Final = 6
_VARY: Final = "Accept-Encoding"
_ALLOW: Final = ", ".join(method.value for method in METHODS)
_CODING: Final = re.compile(r"\s*([^\s;,]+)\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?", re.IGNORECASE)


def served(trigger: Trigger) -> Trigger:
    """A trigger that takes each of the methods, where one is given that answers GET.

    HEAD is answered as GET, with its headers: the server leaves the body away.
    """

    async def serve(req: func.HttpRequest) -> func.HttpResponse:
        if req.method == func.HttpMethod.OPTIONS.value:
            return func.HttpResponse(status_code=HTTPStatus.NO_CONTENT, headers={**HEADERS, "Allow": _ALLOW})
        return encoded(await trigger(req), req.headers.get("accept-encoding", ""))

    return serve


def encoded(response: func.HttpResponse, accepted: str) -> func.HttpResponse:
    """A response, compressed where the client takes that and it is worth it.

    Its tag is weak then: it stands for the same answer in other bytes (RFC 9110, 8.8.1).

    Args:
        response: The response.
        accepted: The header `Accept-Encoding` of its request.
    """
    body, headers = response.get_body(), {**response.headers, "Vary": _VARY}
    if len(body) >= LEAST and takes_gzip(accepted):
        body = gzip.compress(body, _LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
        if "ETag" in headers:
            headers["ETag"] = f"W/{headers['ETag']}"
    return func.HttpResponse(body, status_code=response.status_code, headers=headers, mimetype=response.mimetype)


def takes_gzip(accepted: str) -> bool:
    """Whether a client takes gzip, by its `Accept-Encoding`: as it is named there, else as `*` is.

    What is not said, or cannot be read, is not taken: the body as it is serves everybody.
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
