"""Shared access signatures and tokens: authorization of calls."""

import hmac
import time
from base64 import b64decode, b64encode
from typing import Final
from urllib.parse import parse_qs, unquote_plus

from local.tokens import token_refusal

AUDIENCE: Final = "https://iothubs.azure.net"
"""The audience of tokens for an IoT hub."""

_SCHEME: Final = "SharedAccessSignature "


def refusal_of(header: str | None, *, host: str, key_name: str, key: str) -> str | None:
    """Return why an Authorization header is refused; None if it is valid.

    A signature covers the quoted resource and its expiry, in wall-clock time: clients sign with the real time, no
    matter what time a scenario uses.

    Args:
        header: `SharedAccessSignature sr=...&sig=...&se=...&skn=...`.
        host: The hub, with its port if it has one.
        key_name: The only policy.
        key: Its key, base64.
    """
    if header is not None and header.startswith("Bearer "):
        return token_refusal(header.removeprefix("Bearer "), AUDIENCE)
    if header is None or not header.startswith(_SCHEME):
        return "the request carries no shared access signature"
    fields = {name: values[0] for name, values in parse_qs(header.removeprefix(_SCHEME)).items()}
    # The signature covers the resource as it is in the header, so cut it out without decoding.
    quoted = next((part[3:] for part in header.removeprefix(_SCHEME).split("&") if part.startswith("sr=")), "")
    end = fields.get("se", "")
    if not end.isdecimal():
        return "the signature has no expiry"
    expected = b64encode(hmac.digest(b64decode(key), f"{quoted}\n{end}".encode(), "sha256")).decode()
    if fields.get("skn") != key_name or not hmac.compare_digest(fields.get("sig", "").encode(), expected.encode()):
        return "the signature is wrong"
    if unquote_plus(quoted).lower() != host.lower():
        return "the signature is for another hub"
    return "the signature has expired" if int(end) <= time.time() else None
