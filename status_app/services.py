"""The app put together: clients made once, at the first invocation that needs them."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from azure.data.tables.aio import TableClient, TableServiceClient

from status_app.reconcile import Reconciler, Twins
from status_app.settings import Settings
from status_app.tables import dead_letters, status_table
from status_app.tables.dead_letters import DeadLetters
from status_app.tables.service import table_errors, table_service
from status_app.tables.status_table import StatusTable
from status_app.twin_changes import TwinChanges
from status_app.twins import TwinReader


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Services:
    """What the functions call."""

    def __init__(
        self, settings: Settings, *, clock: Callable[[], datetime] = utc_now, twins: Twins | None = None
    ) -> None:
        self._settings = settings
        self._service: TableServiceClient = table_service(settings.tables)
        self._twins = twins or TwinReader(settings.iot_hub)
        self._clock = clock
        self._twin_changes: TwinChanges | None = None

    async def twin_changes(self) -> TwinChanges:
        """The handler of twin changes; the tables are created where they are not there yet."""
        if self._twin_changes is None:
            settings = self._settings
            table = StatusTable(
                await self._table(status_table.TABLE),
                hub=settings.hub,
                stable_after=settings.policy.stable_after,
                history_limit=settings.history_limit,
            )
            reconciler = Reconciler(table, self._twins, settings.policy, self._clock)
            self._twin_changes = TwinChanges(reconciler, DeadLetters(await self._table(dead_letters.TABLE)))
        return self._twin_changes

    async def close(self) -> None:
        """Close every client."""
        await self._service.close()
        if isinstance(self._twins, TwinReader):
            self._twins.close()

    async def _table(self, name: str) -> TableClient:
        with table_errors():
            await self._service.create_table_if_not_exists(name)
        return self._service.get_table_client(name)


_services: Services | None = None


def services(environment: Mapping[str, str] = os.environ) -> Services:
    """The one set of services of this process.

    Raises:
        SettingError: A setting is missing or wrong.
    """
    global _services  # noqa: PLW0603 (clients live as long as the process, one set of them)
    if _services is None:
        _services = Services(Settings.read(environment))
    return _services


def use(chosen: Services) -> None:
    """Make these the process's services: a host that brings its own clock puts them in before the app starts."""
    global _services  # noqa: PLW0603 (as above)
    _services = chosen
