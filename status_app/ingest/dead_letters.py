"""The table DeadLetter: events that could not be processed, until they are replayed.

Of an event that may hold a part of a twin, only ids, versions and sizes are stored: a patch can quote a secret from
elsewhere in the twin, which cannot be recognized here, and a replay reads the twin anyway. Other bodies are stored
whole, without anything that looks like a secret.
"""

import json
import re
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableEntity, UpdateMode
from azure.data.tables.aio import TableClient

from status_app.errors import BadEventError, StatusAppError
from status_app.ingest.event_batch import IncomingEvent
from status_app.ingest.notifications import is_of_a_twin
from status_app.storage.client import table_errors
from status_app.storage.codecs import long, read_number, read_time
from status_app.storage.columns import Row
from status_app.storage.keys import escape
from status_core import REDACTED, Blanker, secret_values

TABLE: Final = "DeadLetter"
PAGE: Final = 50
"""Rows read at once: at most 50 MiB, since a row holds 1 MiB."""

_SECRET_KEY: Final = re.compile(r"^(?:env|createOptions\d*|registryCredentials)$", re.IGNORECASE)
_SECRET_WORD: Final = re.compile(r"env\W|createOptions|registryCredentials|password", re.IGNORECASE)
_TWIN_WORD: Final = re.compile(rb'"(?:desired|reported)"')
"""Shows a twin in an event that is not marked as one."""
_NO_BODY: Final = "none"
"""BodyEncoding of a twin event whose body cannot be read: nothing of it is stored."""
_ID_LENGTH: Final = 1000
_PART: Final = 16_000
"""Characters of a text column, and a quarter of the bytes of a binary one. Table Storage takes 32,768 UTF-16 units,
two for some characters, and 65,536 bytes."""
_TEXT_LIMIT: Final = 800_000
"""Bytes of a body stored as text, in the form that the SDK sends (ASCII JSON): an entity holds 1 MiB."""
_PACKED_LIMIT: Final = 700_000
"""Bytes of a deflated body, for the same reason. A larger one is cut, and cannot be replayed."""


class UnreadableRowError(StatusAppError):
    """A row is not as `keep` writes it. The message names the column and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A stored event. `row` is the whole entity as read, with its ETag."""

    row: TableEntity

    @property
    def name(self) -> str:
        """Return `partition/sequence` from the keys, which every row has."""
        sequence = self.row["RowKey"].partition("-")[0]
        return f"{self.row['PartitionKey']}/{sequence.lstrip('0') or '0'}"

    @property
    def reason(self) -> str:
        """Return why it was given up."""
        return str(self.row.get("Reason", "without a reason"))

    def event(self) -> IncomingEvent:
        """Return the event with its stored body: without secrets, or only its ids and versions.

        Raises:
            BadEventError: It was given up because its body cannot be read, and the body was not stored.
            UnreadableRowError: The row is not as `keep` writes it.
        """
        if self.row.get("BodyEncoding") == _NO_BODY:
            detail = str(self.row.get("Detail", ""))
            raise BadEventError(self.reason, detail.removeprefix(f"{self.reason}: "))
        enqueued = self.row.get("EnqueuedTime")
        properties = _properties(_checked("Properties", self.row.get("Properties"), str))
        return IncomingEvent(
            body=_body(self.row),
            properties=_part_of(properties, "application"),
            system_properties=_part_of(properties, "system"),
            partition_id=_checked("PartitionId", self.row.get("PartitionId"), str),
            sequence_number=_checked("SequenceNumber", read_number(self.row.get("SequenceNumber")), int),
            enqueued_time=read_time(enqueued) if isinstance(enqueued, datetime) else None,
        )


class DeadLetters:
    """Stores events with the reason why they were given up."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def keep(self, event: IncomingEvent, reason: str, detail: str) -> None:
        """Store an event. Storing it again replaces the row.

        Raises:
            UnavailableError: The table service does not answer. The event must not be lost.
        """
        row: Row = {
            **_key(event),
            "Reason": reason,
            "Detail": detail[:_PART],
            "PartitionId": event.partition_id,
            "SequenceNumber": long(event.sequence_number),
            "EnqueuedTime": event.enqueued_time,
            "Properties": _properties_text(event)[:_PART],
            "BodySize": long(len(event.body)),
            **_kept(event),
        }
        with table_errors():
            await self._client.upsert_entity(
                {name: value for name, value in row.items() if value is not None}, mode=UpdateMode.REPLACE
            )

    async def pages(self, reason: str | None = None) -> AsyncIterator[list[DeadLetter]]:
        """Iterate over all stored events, or those with one reason, oldest of a partition first.

        Events stored meanwhile may or may not be included. A missing table counts as empty.

        Raises:
            UnavailableError: The table service does not answer.
        """
        if reason is None:
            rows = self._client.list_entities(results_per_page=PAGE)
        else:
            rows = self._client.query_entities(
                "Reason eq @reason", parameters={"reason": reason}, results_per_page=PAGE
            )
        with table_errors():
            try:
                async for page in rows.by_page():
                    yield [DeadLetter(row) async for row in page]
            except ResourceNotFoundError:
                return

    async def forget(self, letter: DeadLetter) -> None:
        """Delete a processed event. It may be gone already.

        Raises:
            LostRaceError: It was stored again since it was read.
            UnavailableError: The table service does not answer.
        """
        with table_errors(guarded=True):
            await self._client.delete_entity(letter.row, match_condition=MatchConditions.IfNotModified)

    async def give_reason(self, letter: DeadLetter, reason: str, detail: str) -> None:
        """Store why an event was given up again, if the reason changed.

        Raises:
            LostRaceError: It was stored again since it was read, or deleted.
            UnavailableError: The table service does not answer.
        """
        row = letter.row
        change = {"Reason": reason, "Detail": detail[:_PART]}
        if change.items() <= row.items():
            return
        change |= {"PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"]}
        with table_errors(guarded=True):
            await self._client.update_entity(
                change,
                mode=UpdateMode.MERGE,
                etag=row.metadata["etag"],
                match_condition=MatchConditions.IfNotModified,
            )


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
        return _json(_without_secrets(value, Blanker(secret_values(value)))) if isinstance(value, dict) else _cut(text)
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


def _kept(event: IncomingEvent) -> Row:
    """Return the columns for the body."""
    if not is_of_a_twin(event) and not _TWIN_WORD.search(event.body.replace(b"\x00", b"")):  # UTF-16 as well
        return _body_columns(safe_body(event.body))
    try:
        body = json.loads(event.body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        body = None
    return _body_columns(_json(_outline(body))) if isinstance(body, dict) else {"BodyEncoding": _NO_BODY}


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
            outline[name] = {**_version("$version", section), "characters": len(_json(section))}
    return outline


def _version(name: str, part: Mapping[str, Any]) -> dict[str, int]:
    version = part.get(name)
    return {name: version} if isinstance(version, int) and not isinstance(version, bool) else {}


def _key(event: IncomingEvent) -> dict[str, str]:
    """Return the keys: partition, sequence number, and the time, which sets a recreated event hub apart."""
    enqueued = event.enqueued_time.timestamp() * 1000 if event.enqueued_time else 0
    return {
        "PartitionKey": escape(event.partition_id),
        "RowKey": f"{event.sequence_number:019d}-{enqueued:.0f}",
    }


def _body_columns(body: str | bytes) -> Row:
    """Store the body in Body, Body01, ...: as text, or deflated if it is not text or too long."""
    if isinstance(body, str) and len(json.dumps(body)) <= _TEXT_LIMIT:
        parts: list[str | bytes] = [body[start : start + _PART] for start in range(0, len(body), _PART)] or [""]
        encoding = "text"
    else:
        packed = zlib.compress(body.encode() if isinstance(body, str) else body, level=9)[:_PACKED_LIMIT]
        parts = [packed[start : start + 4 * _PART] for start in range(0, len(packed), 4 * _PART)]
        encoding = "deflate"
    return {"BodyEncoding": encoding} | {_column(number): part for number, part in enumerate(parts)}


def _column(number: int) -> str:
    return f"Body{number:02d}" if number else "Body"


def _body(row: Mapping[str, Any]) -> bytes:
    """Read the body of a row: parts of a text, or of one deflated stream."""
    encoding = row.get("BodyEncoding")
    if encoding not in ("text", "deflate"):
        raise UnreadableRowError("BodyEncoding is neither text nor deflate nor none")
    names = ["Body"]
    while _column(len(names)) in row:
        names.append(_column(len(names)))
    if encoding == "text":
        return "".join(_checked(name, row.get(name), str) for name in names).encode("utf-8", "surrogatepass")
    try:
        return zlib.decompress(b"".join(_checked(name, row.get(name), bytes) for name in names))
    except zlib.error:
        raise UnreadableRowError("Body cannot be inflated") from None


def _properties_text(event: IncomingEvent) -> str:
    """Encode the properties of an event as JSON. Too deeply nested ones are replaced by a note."""
    try:
        return _json({"application": event.properties, "system": event.system_properties})
    except RecursionError:
        return "nested too deeply"


def _properties(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableRowError("Properties is not JSON") from None


def _part_of(properties: Any, name: str) -> Mapping[str, Any]:
    part = properties.get(name) if isinstance(properties, dict) else None
    return _checked(f"Properties.{name}", part, dict)


def _checked[Value](column: str, value: Any, kind: type[Value]) -> Value:
    if value is None:
        raise UnreadableRowError(f"{column} is missing")
    if not isinstance(value, kind):
        raise UnreadableRowError(f"{column} has the wrong type")
    return value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()
