"""Tokens in the format of Entra ID, but unsigned: stand-ins check audience and expiry."""

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

LIFETIME: Final = 3600
"""Seconds."""

_ISSUER: Final = "https://sts.windows.net/00000000-0000-0000-0000-000000000000/"


def issue_token(audience: str) -> str:
    """Issue a token for a service. Its times are wall-clock times, like those of signatures."""
    now = int(time.time())
    claims = {"aud": audience, "iss": _ISSUER, "iat": now, "nbf": now, "exp": now + LIFETIME}
    return ".".join([_part({"alg": "RS256", "typ": "JWT"}), _part(claims), _part({})])


def token_refusal(token: str, audience: str) -> str | None:
    """Return why a token is not valid for a service; None if it is valid."""
    try:
        encoded = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
        ended = claims["exp"] <= time.time()
    except (LookupError, TypeError, ValueError):
        return "the token cannot be read"
    if claims.get("aud") != audience:
        return f"the token is for {claims.get('aud')!r}"
    return "the token has expired" if ended else None


def _part(content: object) -> str:
    return urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
