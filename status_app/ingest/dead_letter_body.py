"""What a dead letter keeps of the body of its event.

Of an event that may hold a part of a twin, only ids, versions and sizes are stored: a patch can quote a secret from
elsewhere in the twin, which cannot be recognized here, and a replay reads the twin anyway. Other bodies are stored
whole, without anything that looks like a secret.
"""

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any, Final

from status_app.errors import StatusAppError
from status_app.ingest.event_batch import IncomingEvent
from status_app.ingest.notifications import is_of_a_twin
from status_app.storage.columns import Row
from status_core import REDACTED, Blanker, secret_values

_SECRET_KEY: Final = re.compile(r"^(?:env|createOptions\d*|registryCredentials)$", re.IGNORECASE)
_SECRET_WORD: Final = re.compile(r"env\W|createOptions|registryCredentials|password", re.IGNORECASE)
_TWIN_WORD: Final = re.compile(rb'"(?:desired|reported)"')
"""Shows a twin in an event that is not marked as one."""
NO_BODY: Final = "none"
"""BodyEncoding of a twin event whose body cannot be read: nothing of it is stored."""
_ID_LENGTH: Final = 1000
PART: Final = 16_000
"""Characters of a text column, and a quarter of the bytes of a binary one. Table Storage takes 32,768 UTF-16 units,
two for some characters, and 65,536 bytes."""
_TEXT_LIMIT: Final = 800_000
"""Bytes of a body stored as text, in the form that the SDK sends (ASCII JSON): an entity holds 1 MiB."""
_PACKED_LIMIT: Final = 700_000
"""Bytes of a deflated body, for the same reason. A larger one is cut, and cannot be replayed."""


class UnreadableRowError(StatusAppError):
    """A row is not as `DeadLetters.keep` writes it. The message names the column and quotes nothing of it."""


def safe_body(body: bytes) -> str | bytes:
    """Remove the secrets of a twin from a body: replace secret values in JSON, else cut where one may begin."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        readable = body.replace(b"\x00", b"").decode("latin-1")  # UTF-16 reads as its own letters then
        return _cut(readable) if _SECRET_WORD.search(readable) else body
    if not _SECRET_WORD.search(text):
        return text
    try:
        value = json.loads(text)
        return (
            as_json(_without_secrets(value, Blanker(secret_values(value)))) if isinstance(value, dict) else _cut(text)
        )
    except (ValueError, RecursionError):
        return _cut(text)


def _without_secrets(value: Any, secrets: Blanker) -> Any:
    """Blank the values of secret keys, and the secrets that texts quote."""
    if isinstance(value, dict):
        return {
            key: REDACTED if _SECRET_KEY.match(key) else _without_secrets(part, secrets) for key, part in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(part, secrets) for part in value]
    return _cut(secrets.blank(value)) if isinstance(value, str) else value


def _cut(text: str) -> str:
    match = _SECRET_WORD.search(text)
    return text if match is None else f"{text[: match.start()]}{REDACTED} ({len(text) - match.start()} characters)"


def body_columns(event: IncomingEvent) -> Row:
    """Return the columns that keep the body of an event."""
    if not is_of_a_twin(event) and not _TWIN_WORD.search(event.body.replace(b"\x00", b"")):  # UTF-16 as well
        return _columns(safe_body(event.body))
    try:
        body = json.loads(event.body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        body = None
    return _columns(as_json(_outline(body))) if isinstance(body, dict) else {"BodyEncoding": NO_BODY}


def _outline(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return ids and versions of a twin, or of a part of it, and the size of its sections."""
    outline: dict[str, Any] = {
        name: body[name][:_ID_LENGTH] for name in ("deviceId", "moduleId") if isinstance(body.get(name), str)
    }
    outline |= _version("version", body)
    properties = body.get("properties")
    sections = properties if isinstance(properties, dict) else {}
    for name in ("desired", "reported"):
        if isinstance(section := sections.get(name), dict):
            outline[name] = {**_version("$version", section), "characters": len(as_json(section))}
    return outline


def _version(name: str, part: Mapping[str, Any]) -> dict[str, int]:
    version = part.get(name)
    return {name: version} if isinstance(version, int) and not isinstance(version, bool) else {}


def _columns(body: str | bytes) -> Row:
    """Store the body in Body, Body01, ...: as text, or deflated if it is not text or too long."""
    if isinstance(body, str) and len(json.dumps(body)) <= _TEXT_LIMIT:
        parts: list[str | bytes] = [body[start : start + PART] for start in range(0, len(body), PART)] or [""]
        encoding = "text"
    else:
        packed = zlib.compress(body.encode() if isinstance(body, str) else body, level=9)[:_PACKED_LIMIT]
        parts = [packed[start : start + 4 * PART] for start in range(0, len(packed), 4 * PART)]
        encoding = "deflate"
    return {"BodyEncoding": encoding} | {_column(number): part for number, part in enumerate(parts)}


def _column(number: int) -> str:
    return f"Body{number:02d}" if number else "Body"


def read_body(row: Mapping[str, Any]) -> bytes:
    """Read the body of a row: parts of a text, or of one deflated stream.

    Raises:
        UnreadableRowError: The columns are not as `body_columns` returns them.
    """
    encoding = row.get("BodyEncoding")
    if encoding not in ("text", "deflate"):
        raise UnreadableRowError("BodyEncoding is neither text nor deflate nor none")
    names = ["Body"]
    while _column(len(names)) in row:
        names.append(_column(len(names)))
    if encoding == "text":
        return "".join(checked(name, row.get(name), str) for name in names).encode("utf-8", "surrogatepass")
    try:
        return zlib.decompress(b"".join(checked(name, row.get(name), bytes) for name in names))
    except zlib.error:
        raise UnreadableRowError("Body cannot be inflated") from None


def checked[Value](column: str, value: Any, kind: type[Value]) -> Value:
    """Return the value of a column.

    Raises:
        UnreadableRowError: It is missing, or of another type.
    """
    if value is None:
        raise UnreadableRowError(f"{column} is missing")
    if not isinstance(value, kind):
        raise UnreadableRowError(f"{column} has the wrong type")
    return value


def as_json(value: Any) -> str:
    """Write JSON that UTF-8 can hold."""
    return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()
