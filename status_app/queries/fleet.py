"""All queries of the fleet in one place."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables.aio import TableServiceClient

from status_app.fleet_index import lookups
from status_app.fleet_index.counters import standings_of
from status_app.fleet_index.lookups import FleetIndex
from status_app.fleet_index.peers import PeerRows
from status_app.queries.answers import Answer, device_answer, readable, transition_answer
from status_app.queries.causes import cause_devices, causes
from status_app.queries.deployment_queries import deployment, deployments
from status_app.queries.device_filter import DeviceFilter, FilterError
from status_app.queries.devices import devices
from status_app.queries.disagreements import disagreements
from status_app.queries.inventory import agents, images
from status_app.queries.modules import modules_due, stuck_modules
from status_app.queries.pages import IndexedDevices, Page, Place, PlaceError
from status_app.queries.progress import progress
from status_app.rollouts import deployment_rows
from status_app.rollouts.deployment_rows import DeploymentRows
from status_app.status_table import reader
from status_app.status_table.reader import DeviceReader
from status_app.storage.cohort_values import OTHER, CohortValues
from status_app.storage.keys import transition_sequence


class Fleet:
    """Reads the tables. It creates none: a missing table counts as empty.

    Every method raises UnavailableError if the table service does not answer. Methods for lists raise PlaceError if
    their list has no such place to start after.
    """

    def __init__(self, service: TableServiceClient, clock: Callable[[], datetime]) -> None:
        self._reader = DeviceReader(service.get_table_client(reader.TABLE))
        index = FleetIndex(service.get_table_client(lookups.TABLE))
        self._peers = PeerRows(service.get_table_client(lookups.TABLE))
        self._indexed = IndexedDevices(index, self._reader, clock)
        self._rows = DeploymentRows(service.get_table_client(deployment_rows.TABLE))
        self._cohorts = CohortValues(service.get_table_client(deployment_rows.TABLE))
        self._clock = clock

    async def devices(self, asked: DeviceFilter, after: Place | None, limit: int) -> Page:
        """Return a page of devices. One request per device, at most `pages.MOST_READS`, and some for the index."""
        with suppress(ResourceNotFoundError):
            return await devices(self._indexed, asked, after, limit)
        return Page()

    async def device(self, device_id: str) -> Answer | None:
        """Return a device with its modules and their evidence; None if it is not known. Two requests."""
        with suppress(ResourceNotFoundError):
            stored, history = await self._reader.read_whole(device_id)
            if stored.is_whole:
                kept = await self._rows.kept_list()
                standings = standings_of(stored, kept.listings, self._clock())
                return device_answer(device_id, stored.rows, history, standings)
        return None

    async def transitions(self, device_id: str, after: Place | None, limit: int) -> Page | None:
        """Return a page of a device's transitions, newest first; None if it is not known and never was.

        Two requests, one more for a deleted device, and one for each page with an unreadable row.
        """
        if after is not None and not (len(after) == 1 and after[0].isascii() and after[0].isdecimal()):
            raise PlaceError
        with suppress(ResourceNotFoundError):
            last = (await self._reader.read(device_id)).last_sequence
            if not last:
                return None
            newest = min(last, int(after[0][:20]) - 1) if after is not None else last
            if newest < 1:
                return Page()
            items: list[Answer] = []
            while newest >= 1 and len(items) <= limit:
                found = await self._reader.history(device_id, newest, limit + 1)
                items += readable(found, transition_answer, lambda row: f"device {device_id!r}, row {row['RowKey']!r}")
                newest = transition_sequence(found[-1]["RowKey"]) - 1 if len(found) > limit else 0
            return Page(items[:limit], (str(items[limit - 1]["sequence"]),) if len(items) > limit else None)
        return None

    async def stuck_modules(self, after: Place | None, limit: int) -> Page:
        """Return a page of stuck modules. The requests are those of `devices`."""
        with suppress(ResourceNotFoundError):
            return await stuck_modules(self._indexed, after, limit)
        return Page()

    async def modules_due(self, before: datetime, after: Place | None, limit: int) -> Page:
        """Return a page of modules that get stuck before a time. The requests are those of `devices`."""
        with suppress(ResourceNotFoundError):
            return await modules_due(self._indexed, before, after, limit)
        return Page()

    async def deployments(self, after: Place | None, limit: int) -> Page:
        """Return a page of deployments as last counted. Two requests."""
        with suppress(ResourceNotFoundError):
            return await deployments(self._rows, after, limit)
        return Page(extra={"listedAt": None})

    async def deployment(self, deployment_id: str, cohort: str | None = None) -> Answer | None:
        """Return a deployment or its devices of one cohort, counted now; None if it does not exist and never did."""
        with suppress(ResourceNotFoundError):
            await self._check_counters(cohort)
            return await deployment(self._indexed, self._rows, self._clock, deployment_id, cohort)
        return None

    async def progress(self, deployment_id: str) -> Answer | None:
        """Return the progress of a deployment; None if it does not exist and never did. One request."""
        with suppress(ResourceNotFoundError):
            return await progress(self._rows, self._clock, deployment_id)
        return None

    async def disagreements(self, deployment_id: str, after: Place | None, limit: int) -> Page | None:
        """Return a page of the devices that the hub counts differently; None if there is no such deployment."""
        with suppress(ResourceNotFoundError):
            return await disagreements(self._indexed, self._rows, self._clock, deployment_id, after, limit)
        return None

    async def causes(self, deployment: str | None, cohort: str | None, after: Place | None, limit: int) -> Page:
        """Return a page of causes, optionally of one deployment and of one cohort, counted now."""
        with suppress(ResourceNotFoundError):
            await self._check_counters(cohort)
            return await causes(self._indexed, self._peers, deployment, cohort, after, limit)
        return Page()

    async def _check_counters(self, cohort: str | None) -> None:
        """Refuse a cohort without counters, whose counts would all be zero.

        Raises:
            FilterError: It has no counters.
        """
        if cohort is None:
            return
        tag, _, value = cohort.partition("=")
        if not await self._cohorts.counts(tag, value):
            raise FilterError(
                f"this value of {tag} has no counters: use cohort={tag}={OTHER}, which counts it with others, "
                "or a list of devices"
            )

    async def cause_devices(self, cause: str, after: Place | None, limit: int) -> Page | None:
        """Return a page of the devices under a cause; None if there are none. The requests are those of `devices`."""
        with suppress(ResourceNotFoundError):
            return await cause_devices(self._indexed, cause, after, limit)
        return None

    async def images(self, after: Place | None, limit: int) -> Page:
        """Return a page of the images that modules report. One request per thousand devices."""
        with suppress(ResourceNotFoundError):
            return await images(self._indexed, after, limit)
        return Page()

    async def agents(self, after: Place | None, limit: int) -> Page:
        """Return a page of the versions of edgeAgent. One request per thousand devices."""
        with suppress(ResourceNotFoundError):
            return await agents(self._indexed, after, limit)
        return Page()
