"""What the tables of the app mean, kept in them: by which settings the app writes them.

The row `app|settings` of the table Deployments. The function app writes it at its start, and the last start wins. A
command takes it in the place of its own settings: one that runs with others would date deadlines otherwise.
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
    """Keep by which settings the app writes.

    Args:
        client: The table Deployments.
        hub: Short name of its IoT hub.
        shared: Those of `SHARED` that are set.

    Raises:
        UnavailableError: The table service does not answer.
    """
    with table_errors():
        await client.upsert_entity({**_KEY, _HUB: hub, **shared}, mode=UpdateMode.REPLACE)


async def read_settings(client: TableClient) -> tuple[str, dict[str, str]] | None:
    """The hub of the app, and those of `SHARED` that it has; None where no app of this release has started.

    Raises:
        UnavailableError: The table service does not answer.
    """
    try:
        row = await find_row(client, _KEY)
    except ResourceNotFoundError:
        return None
    return None if row is None else (row[_HUB], {name: row[name] for name in SHARED if name in row})
