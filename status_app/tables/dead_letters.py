"""The table DeadLetter: events that could not be processed, whole but for secrets, until they are replayed."""

import json
import re
import zlib
from collections.abc import Sequence
from typing import Any, Final

from azure.data.tables.aio import TableClient

from status_app.incoming import IncomingEvent
from status_app.tables.keys import escape
from status_app.tables.rows import Row, long
from status_app.tables.service import table_errors
from status_core.secrets import REDACTED, blank, secret_values

TABLE: Final = "DeadLetter"

_SECRET_KEY: Final = re.compile(r"^(?:env|createOptions\d*|registryCredentials)$", re.IGNORECASE)
_SECRET_WORD: Final = re.compile(r"env\W|createOptions|registryCredentials|password", re.IGNORECASE)
_PART: Final = 32_000
"""Characters of a text column, and half the bytes of a binary one; Table Storage takes 32,768 and 65,536."""
_TEXT_LIMIT: Final = 400_000
"""Characters of a body that is kept as text: an entity holds 1 MiB, at two bytes a character."""


class DeadLetters:
    """Keeps events with the reason why they were given up."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def keep(self, event: IncomingEvent, reason: str, detail: str) -> None:
        """Store an event. The same event twice is one row.

        Raises:
            UnavailableError: The table service does not answer; the event must not be lost.
        """
        row: Row = {
            **_key(event),
            "Reason": reason,
            "Detail": detail,
            "PartitionId": event.partition_id,
            "SequenceNumber": long(event.sequence_number),
            "EnqueuedTime": event.enqueued_time,
            "Properties": _json({"application": event.properties, "system": event.system_properties})[:_PART],
            **_body_columns(safe_body(event.body)),
        }
        with table_errors():
            await self._client.upsert_entity({name: value for name, value in row.items() if value is not None})


def safe_body(body: bytes) -> str | bytes:
    """A body without the secrets of a twin: JSON with its secret values replaced, else cut where one may begin."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        readable = body.replace(b"\x00", b"").decode("latin-1")  # UTF-16 reads as its own letters then
        return _cut(readable) if _SECRET_WORD.search(readable) else body
    if not _SECRET_WORD.search(text):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _cut(text)
    if not isinstance(value, dict):
        return _cut(text)
    return _json(_without_secrets(value, secret_values(value)))


def _without_secrets(value: Any, secrets: Sequence[str]) -> Any:
    """A part of a body: secret keys without their value, and texts that quote one of the secrets without it."""
    if isinstance(value, dict):
        return {
            key: REDACTED if _SECRET_KEY.match(key) else _without_secrets(part, secrets) for key, part in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(part, secrets) for part in value]
    return _cut(blank(value, secrets)) if isinstance(value, str) else value


def _cut(text: str) -> str:
    match = _SECRET_WORD.search(text)
    return text if match is None else f"{text[: match.start()]}{REDACTED} ({len(text) - match.start()} characters)"


def _key(event: IncomingEvent) -> dict[str, str]:
    """By partition and sequence number; the time tells an event hub from one that was created anew."""
    enqueued = event.enqueued_time.timestamp() * 1000 if event.enqueued_time else 0
    return {
        "PartitionKey": escape(event.partition_id),
        "RowKey": f"{event.sequence_number:019d}-{enqueued:.0f}",
    }


def _body_columns(body: str | bytes) -> Row:
    """The body in Body, Body01, ...: as text, or deflated where it is no text or too long."""
    if isinstance(body, str) and len(body) <= _TEXT_LIMIT:
        parts: list[str | bytes] = [body[start : start + _PART] for start in range(0, len(body), _PART)] or [""]
        encoding = "text"
    else:
        packed = zlib.compress(body.encode() if isinstance(body, str) else body, level=9)
        parts = [packed[start : start + 2 * _PART] for start in range(0, len(packed), 2 * _PART)]
        encoding = "deflate"
    return {"BodyEncoding": encoding} | {_column(number): part for number, part in enumerate(parts)}


def _column(number: int) -> str:
    return f"Body{number:02d}" if number else "Body"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()
