"""Stores the settings that the app writes its tables with, in the tables themselves.

The row is `app|settings` of the table Deployments. The function app writes it at start, and the last start wins. A
command uses it instead of its own settings: with others it would compute other deadlines.
"""

from collections.abc import Mapping
from typing import Final

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from status_app.settings import SHARED
from status_app.storage.client import find_row, table_errors

_KEY: Final = {"PartitionKey": "app", "RowKey": "settings"}
_HUB: Final = "Hub"


async def keep_settings(client: TableClient, hub: str, shared: Mapping[str, str]) -> None:
    """Store the settings that affect rows.

    Args:
        client: The table Deployments.
        hub: Short name of the app's IoT hub.
        shared: The settings in `SHARED` that are set.

    Raises:
        UnavailableError: The table service does not answer.
    """
    with table_errors():
        await client.upsert_entity({**_KEY, _HUB: hub, **shared}, mode=UpdateMode.REPLACE)


async def read_settings(client: TableClient) -> tuple[str, dict[str, str]] | None:
    """Read the app's hub, and its settings in `SHARED`; None if no app of this release has started.

    Raises:
        UnavailableError: The table service does not answer.
    """
    try:
        row = await find_row(client, _KEY)
    except ResourceNotFoundError:
        return None
    return None if row is None else (row[_HUB], {name: row[name] for name in SHARED if name in row})
