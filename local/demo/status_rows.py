"""Queries of the table, as any reader would write them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from azure.data.tables.aio import TableClient

from status_app.storage.keys import DEVICE, module_name, unescape

type Row = Mapping[str, Any]


class Answers:
    """Queries over DeploymentStatus. As a context manager it closes its client."""

    def __init__(self, tables: str) -> None:
        self._table = TableClient.from_connection_string(tables, "DeploymentStatus")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._table.close()

    async def devices(self) -> Sequence[Row]:
        """Read the row of every device."""
        return await self._rows(f"RowKey eq '{DEVICE}'")

    async def stuck(self) -> Sequence[Row]:
        """Read the rows of devices and modules that are stuck."""
        return await self._rows("Stuck eq true")

    async def turns(self, after: datetime) -> Sequence[Row]:
        """Read the "stuck" and "recovered" transitions that were observed after a time, in order."""
        seen = f"ObservedAt gt datetime'{after:%Y-%m-%dT%H:%M:%SZ}'"
        rows = await self._rows(f"(Kind eq 'stuck' or Kind eq 'recovered') and {seen}")
        return sorted(rows, key=lambda row: (row["ObservedAt"], row["PartitionKey"], row["Sequence"].value))

    async def _rows(self, query: str) -> Sequence[Row]:
        return [row async for row in self._table.query_entities(query)]


def name_of(row: Row) -> str:
    """Return the name of a row: `device` or `device/module`."""
    device = unescape(row["PartitionKey"])
    module = row["Module"] if "Kind" in row else module_name(row["RowKey"].removeprefix(DEVICE))
    return f"{device}/{module}" if module else device
