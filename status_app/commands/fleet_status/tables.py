"""Reads the status of a fleet from the tables, for those who have access to them but no API."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from status_app.commands.fleet_status.fleet_status import PAGE, Answer, RefusedError
from status_app.errors import SettingError, UnavailableError
from status_app.queries import DeviceFilter, FilterError, Fleet, Page, Place
from status_app.queries.device_filter import read_cohort
from status_app.service_clock import ServiceClock
from status_app.storage.client import table_service
from status_core import State

_REFUSALS: Final = (401, 403)


class TableFleetStatus:
    """Reads the tables with the queries of the API. It writes nothing, and creates no table.

    Args:
        tables: Endpoint of the table service, or a connection string.
        clock: Returns the time in UTC; by default that of the table service.

    Raises:
        SettingError: `tables` is neither.
    """

    def __init__(self, tables: str, *, clock: Callable[[], datetime] | None = None) -> None:
        self._clock = clock or ServiceClock()
        learning = self._clock if isinstance(self._clock, ServiceClock) else None
        try:
            self._service = table_service(tables, learning)
        except ValueError:  # its text may quote a key
            raise SettingError("STATUS_TABLES is neither an https endpoint nor a connection string") from None
        self._fleet = Fleet(self._service, self._clock)

    async def deployment(self, deployment: str, cohort: str | None = None) -> Answer | None:
        """See FleetStatus."""
        with _refusals():
            return await self._fleet.deployment(deployment, cohort)

    async def devices(
        self, deployment: str, *, state: str | None = None, stuck: bool = False, cohort: str | None = None
    ) -> AsyncIterator[Answer]:
        """See FleetStatus. One request per device, plus those of the index."""
        asked = DeviceFilter(None if state is None else State(state), deployment, stuck, cohort=cohort)
        async for device in _all(lambda after: self._fleet.devices(asked, after, PAGE)):
            yield device

    async def items(self, name: str, words: Mapping[str, str], page: int = PAGE) -> AsyncIterator[Answer]:
        """See FleetLists. The requests are those of the API's list."""
        try:
            ask = self._list(name, words, page)
        except FilterError as error:
            raise RefusedError(str(error)) from None
        async for item in _all(ask):
            yield item

    def _list(self, name: str, words: Mapping[str, str], limit: int) -> Callable[[Place | None], Awaitable[Page]]:
        fleet = self._fleet
        if name == "devices":
            asked = DeviceFilter.read(words)
            return lambda after: fleet.devices(asked, after, limit)
        if name == "causes":
            deployment, cohort = words.get("deployment"), read_cohort(words)
            return lambda after: fleet.causes(deployment, cohort, after, limit)
        if name == "images":
            return lambda after: fleet.images(after, limit)
        return lambda after: fleet.deployments(after, limit)

    async def device(self, device_id: str) -> Answer | None:
        """See FleetStatus."""
        with _refusals():
            return await self._fleet.device(device_id)

    async def transitions(self, device_id: str, limit: int) -> Sequence[Answer]:
        """See FleetStatus."""
        with _refusals():
            page = await self._fleet.transitions(device_id, None, limit)
        return page.items if page is not None else []

    async def listed_at(self) -> str | None:
        """See FleetStatus."""
        with _refusals():
            page = await self._fleet.deployments(None, 1)
        listed: str | None = page.extra["listedAt"]
        return listed

    def now(self) -> datetime:
        """See FleetStatus. The `Date` header of the table service's answers."""
        return self._clock()

    async def close(self) -> None:
        """See FleetStatus."""
        await self._service.close()


async def _all(ask: Callable[[Place | None], Awaitable[Page]]) -> AsyncIterator[Answer]:
    """Iterate over the items of all pages."""
    after: Place | None = None
    while True:
        with _refusals():
            page = await ask(after)
        for item in page.items:
            yield item
        after = page.after
        if after is None:
            return


@contextmanager
def _refusals() -> Iterator[None]:
    """Report a refusal at once: unlike the app, a command does not wait for a new role to take effect."""
    try:
        yield
    except FilterError as error:
        raise RefusedError(str(error)) from None
    except UnavailableError as error:
        status = getattr(error.__cause__, "status_code", None)
        if status in _REFUSALS:
            raise RefusedError(
                f"the table service refuses access (answer {status}): check STATUS_TABLES, and the role Storage Table "
                "Data Reader"
            ) from None
        raise
