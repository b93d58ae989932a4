"""The table DeadLetter: events that could not be processed, until they are replayed."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableEntity, UpdateMode
from azure.data.tables.aio import TableClient

from status_app.errors import BadEventError
from status_app.ingest.dead_letter_body import (
    NO_BODY,
    PART,
    UnreadableRowError,
    as_json,
    body_columns,
    checked,
    read_body,
)
from status_app.ingest.event_batch import IncomingEvent
from status_app.storage.client import table_errors
from status_app.storage.codecs import long, read_number, read_time
from status_app.storage.keys import escape

TABLE: Final = "DeadLetter"
PAGE: Final = 50
"""Rows read at once: at most 50 MiB, since a row holds 1 MiB."""


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
        if self.row.get("BodyEncoding") == NO_BODY:
            detail = str(self.row.get("Detail", ""))
            raise BadEventError(self.reason, detail.removeprefix(f"{self.reason}: "))
        enqueued = self.row.get("EnqueuedTime")
        properties = _properties(checked("Properties", self.row.get("Properties"), str))
        return IncomingEvent(
            body=read_body(self.row),
            properties=_part_of(properties, "application"),
            system_properties=_part_of(properties, "system"),
            partition_id=checked("PartitionId", self.row.get("PartitionId"), str),
            sequence_number=checked("SequenceNumber", read_number(self.row.get("SequenceNumber")), int),
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
        row: dict[str, Any] = {
            **_key(event),
            "Reason": reason,
            "Detail": detail[:PART],
            "PartitionId": event.partition_id,
            "SequenceNumber": long(event.sequence_number),
            "EnqueuedTime": event.enqueued_time,
            "Properties": _properties_text(event)[:PART],
            "BodySize": long(len(event.body)),
            **body_columns(event),
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
        change = {"Reason": reason, "Detail": detail[:PART]}
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


def _key(event: IncomingEvent) -> dict[str, str]:
    """Return the keys: partition, sequence number, and the time, which sets a recreated event hub apart."""
    enqueued = event.enqueued_time.timestamp() * 1000 if event.enqueued_time else 0
    return {
        "PartitionKey": escape(event.partition_id),
        "RowKey": f"{event.sequence_number:019d}-{enqueued:.0f}",
    }


def _properties_text(event: IncomingEvent) -> str:
    """Encode the properties of an event as JSON. Too deeply nested ones are replaced by a note."""
    try:
        return as_json({"application": event.properties, "system": event.system_properties})
    except RecursionError:
        return "nested too deeply"


def _properties(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableRowError("Properties is not JSON") from None


def _part_of(properties: Any, name: str) -> Mapping[str, Any]:
    part = properties.get(name) if isinstance(properties, dict) else None
    return checked(f"Properties.{name}", part, dict)
