"""The cohorts of devices: the values of the tags in `COHORT_TAGS`. Tags are in a device's twin, not a module's."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from status_app.iothub import queries
from status_app.iothub.twins import TwinPage
from status_app.storage.cohort_values import OTHER, CohortValues
from status_app.telemetry.logs import log
from status_core import clean

VALUE_LIMIT: Final = 64
"""Characters of a value that are stored."""

type Cohorts = tuple[str, ...]
"""Such as `ring=canary`. A value without its own counters comes with `ring=~other`."""

_log = log(__name__)


class TagPages(Protocol):
    """The source of tags."""

    async def tags(self, continuation: str | None, device_ids: Sequence[str] = ()) -> TwinPage:
        """Read one page of devices with their tags: of some devices, or of all."""

    async def tags_of(self, device_ids: Sequence[str]) -> Sequence[Mapping[str, Any]] | None:
        """Read some devices with their tags by one query; None if none was sent."""


class CohortReader:
    """Reads cohorts.

    Args:
        names: The tags.
        source: The hub.
        values: The values with their own counters.
        leave: Stores devices that were not read, or unknown to the hub, for a refresh.
    """

    def __init__(
        self,
        names: Sequence[str],
        source: TagPages,
        values: CohortValues,
        leave: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        self.names = names
        self._source = source
        self._values = values
        self._leave = leave

    def with_source(self, source: TagPages) -> "CohortReader":
        """Return a reader of the same cohorts with another source."""
        return CohortReader(self.names, source, self._values, self._leave)

    async def of(self, device_ids: Sequence[str]) -> dict[str, Cohorts]:
        """Read the cohorts of some devices, as far as the hub knows them and queries are possible now.

        The others are left to a refresh.

        Raises:
            UnavailableError: A service does not answer.
        """
        found: dict[str, Cohorts] = {}
        try:
            for some in queries.portions(device_ids, queries.tags_of):
                found |= await self._cohorts(await self._source.tags_of(some) or ())
        finally:
            left = [device_id for device_id in device_ids if device_id not in found]
            if left:
                await self._leave(left)
        return found

    async def left(self, device_ids: Sequence[str]) -> dict[str, Cohorts]:
        """Read the cohorts of devices left to a refresh, as far as the hub knows them. Queries wait for their turn.

        Raises:
            UnavailableError: A service does not answer.
        """
        found: dict[str, Cohorts] = {}
        for some in queries.portions(device_ids, queries.tags_of):
            found |= await self._cohorts((await self._source.tags(None, some)).twins)
        return found

    async def page(self, continuation: str | None) -> tuple[dict[str, Cohorts], str | None]:
        """Read the cohorts of one page of all devices, and the continuation; None at the end.

        Raises:
            ContinuationError: The hub refuses the continuation.
            UnavailableError: A service does not answer.
        """
        page = await self._source.tags(continuation)
        return await self._cohorts(page.twins), page.continuation

    async def _cohorts(self, devices: Sequence[Mapping[str, Any]]) -> dict[str, Cohorts]:
        held: dict[str, dict[str, str]] = {}
        values = defaultdict[str, list[str]](list)
        for device in devices:
            device_id, tags = device.get("deviceId"), device.get("tags")
            if isinstance(device_id, str):
                held[device_id] = self._held(tags if isinstance(tags, Mapping) else {})
                for name, value in held[device_id].items():
                    values[name].append(value)
        counted = await self._values.counted(values)
        return {
            device_id: tuple(cohort for item in found.items() for cohort in _named(*item, counted))
            for device_id, found in held.items()
        }

    def _held(self, tags: Mapping[str, Any]) -> dict[str, str]:
        """Return a device's values of the wanted tags. Objects and lists make no cohort."""
        found: dict[str, str] = {}
        for name in self.names:
            value = tags.get(name)
            if isinstance(value, bool):
                found[name] = str(value).lower()
            elif isinstance(value, str | int | float):
                found[name] = clean(str(value), VALUE_LIMIT)
            elif value is not None:
                _log.warning("the tag %r of a device is neither a text nor a number: it makes no cohort", name)
        return {name: value for name, value in found.items() if value}


def _named(name: str, value: str, counted: Mapping[str, frozenset[str]]) -> list[str]:
    cohort = [f"{name}={value}"]
    return cohort if value in counted.get(name, ()) else [*cohort, f"{name}={OTHER}"]
