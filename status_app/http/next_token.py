"""The token `next` of a list: where a page ended, and a digest of the query.

It is not secret and not signed: it is checked like any parameter, and the query checks the place.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Final

from status_app.http.parameters import ParameterError
from status_app.queries import Place

_LONGEST: Final = 4096
_DIGITS: Final = 16
_WRONG: Final = "next takes the value of `next` in the previous answer, with the same parameters"


def next_token(place: Place | None, path: str, question: Mapping[str, str]) -> str | None:
    """Encode a place as a token; None at the end of a list.

    Args:
        place: Where the page ended.
        path: The list, with the values in its route.
        question: The parameters besides `limit` and `next`.
    """
    if place is None:
        return None
    return _encoded({"after": list(place), "of": _digest(path, question)})


def read_token(token: str | None, path: str, question: Mapping[str, str]) -> Place | None:
    """Decode the place of a token; None without a token.

    Raises:
        ParameterError: The token does not come from `next_token`, or belongs to another query.
    """
    if token is None:
        return None
    try:
        content = json.loads(base64.b64decode(token.encode() + b"=" * (-len(token) % 4), b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        raise ParameterError(_WRONG) from None
    after = content.get("after") if isinstance(content, dict) else None
    if len(token) > _LONGEST or not isinstance(after, list) or not all(isinstance(part, str) for part in after):
        raise ParameterError(_WRONG)
    if token != _encoded({"after": after, "of": _digest(path, question)}):
        raise ParameterError(_WRONG)
    return tuple(after)


def _encoded(content: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _digest(path: str, question: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps([path, sorted(question.items())]).encode()).hexdigest()[:_DIGITS]
