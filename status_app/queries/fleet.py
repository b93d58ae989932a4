"""What can be asked of the fleet, in one place."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables.aio import TableServiceClient

from status_app.fleet_index import lookups
from status_app.fleet_index.lookups import FleetIndex
from status_app.fleet_index.peers import PeerRows
from status_app.fleet_index.rows import standings_of
from status_app.queries.answers import Answer, device_answer, readable, transition_answer
from status_app.queries.causes import cause_devices, causes
from status_app.queries.deployment_queries import deployment, deployments
from status_app.queries.device_filter import Devices, FilterError
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
    """Reads the tables. It creates none: where one is not there yet, there is no device.

    Every method raises UnavailableError where the table service does not answer; those of lists raise PlaceError where
    the place behind which they should begin is none of theirs.
    """

    def __init__(self, service: TableServiceClient, clock: Callable[[], datetime]) -> None:
        self._reader = DeviceReader(service.get_table_client(reader.TABLE))
        index = FleetIndex(service.get_table_client(lookups.TABLE))
        self._peers = PeerRows(service.get_table_client(lookups.TABLE))
        self._indexed = IndexedDevices(index, self._reader, clock)
        self._rows = DeploymentRows(service.get_table_client(deployment_rows.TABLE))
        self._cohorts = CohortValues(service.get_table_client(deployment_rows.TABLE))
        self._clock = clock

    async def devices(self, asked: Devices, after: Place | None, limit: int) -> Page:
        """A page of devices. A request for each, and some for the index; at most `pages.LOOKS` devices are read."""
        with suppress(ResourceNotFoundError):
            return await devices(self._indexed, asked, after, limit)
        return Page()

    async def device(self, device_id: str) -> Answer | None:
        """A device with its modules and their evidence; None where it is not known. Two requests."""
        with suppress(ResourceNotFoundError):
            stored, history = await self._reader.read_whole(device_id)
            if stored.is_whole:
                kept = await self._rows.kept_list()
                standings = standings_of(stored, kept.listings, self._clock())
                return device_answer(device_id, stored.rows, history, standings)
        return None

    async def transitions(self, device_id: str, after: Place | None, limit: int) -> Page | None:
        """A page of a device's transitions, newest first; None where it is not known and never was.

        Two requests, one more for a device that is deleted, and one for each page of rows of which one cannot be read.
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
        """A page of modules that are stuck. Requests as of `devices`."""
        with suppress(ResourceNotFoundError):
            return await stuck_modules(self._indexed, after, limit)
        return Page()

    async def modules_due(self, before: datetime, after: Place | None, limit: int) -> Page:
        """A page of modules that get stuck before a time. Requests as of `devices`."""
        with suppress(ResourceNotFoundError):
            return await modules_due(self._indexed, before, after, limit)
        return Page()

    async def deployments(self, after: Place | None, limit: int) -> Page:
        """A page of deployments as they were counted last. Two requests."""
        with suppress(ResourceNotFoundError):
            return await deployments(self._rows, after, limit)
        return Page(beside={"listedAt": None})

    async def deployment(self, deployment_id: str, cohort: str | None = None) -> Answer | None:
        """A deployment, counted now, or its devices of one cohort; None where there is none and never was one."""
        with suppress(ResourceNotFoundError):
            await self._check_counters(cohort)
            return await deployment(self._indexed, self._rows, self._clock, deployment_id, cohort)
        return None

    async def progress(self, deployment_id: str) -> Answer | None:
        """The progress of a deployment; None where there is none and never was one. One request."""
        with suppress(ResourceNotFoundError):
            return await progress(self._rows, self._clock, deployment_id)
        return None

    async def disagreements(self, deployment_id: str, after: Place | None, limit: int) -> Page | None:
        """A page of the devices that the hub counts otherwise; None where there is no such deployment."""
        with suppress(ResourceNotFoundError):
            return await disagreements(self._indexed, self._rows, self._clock, deployment_id, after, limit)
        return None

    async def causes(self, deployment: str | None, cohort: str | None, after: Place | None, limit: int) -> Page:
        """A page of causes, of a deployment and of a cohort where they are given, as they are counted now."""
        with suppress(ResourceNotFoundError):
            await self._check_counters(cohort)
            return await causes(self._indexed, self._peers, deployment, cohort, after, limit)
        return Page()

    async def _check_counters(self, cohort: str | None) -> None:
        """Refuse a cohort that nobody counts: what is counted of it would be nothing, whatever is wrong there.

        Raises:
            FilterError: It has no counters.
        """
        if cohort is None:
            return
        tag, _, value = cohort.partition("=")
        if not await self._cohorts.counts(tag, value):
            raise FilterError(
                f"this value of {tag} has no counters: ask for cohort={tag}={OTHER}, which counts it with others, "
                "or for a list of devices"
            )

    async def cause_devices(self, cause: str, after: Place | None, limit: int) -> Page | None:
        """A page of the devices under a cause; None where there is none. Requests as of `devices`."""
        with suppress(ResourceNotFoundError):
            return await cause_devices(self._indexed, cause, after, limit)
        return None

    async def images(self, after: Place | None, limit: int) -> Page:
        """A page of the images that modules report. A request for each thousand devices."""
        with suppress(ResourceNotFoundError):
            return await images(self._indexed, after, limit)
        return Page()

    async def agents(self, after: Place | None, limit: int) -> Page:
        """A page of the versions of edgeAgent. A request for each thousand devices."""
        with suppress(ResourceNotFoundError):
            return await agents(self._indexed, after, limit)
        return Page()
