"""The cohorts of devices: what the tags of `COHORT_TAGS` hold. They are in a device's twin, not in a module's."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import batched
from typing import Any, Final, Protocol

from status_app.iothub.twins import PAGE_SIZE, TwinPage
from status_app.storage.cohort_values import OTHER, CohortValues
from status_app.telemetry.logs import log
from status_core import clean

VALUE_LIMIT: Final = 64
"""Characters of a value that are kept."""

type Cohorts = tuple[str, ...]
"""Such as `ring=canary`; beside a value that has no counters of its own, `ring=~other`."""

_log = log(__name__)


class TagPages(Protocol):
    """Where tags are queried."""

    async def tags(self, continuation: str | None, device_ids: Sequence[str] = ()) -> TwinPage:
        """One page of devices with their tags: of some devices, or of all."""


class CohortReader:
    """Reads cohorts.

    Args:
        names: The tags.
        source: The hub.
        values: Which values are counted.
    """

    def __init__(self, names: Sequence[str], source: TagPages, values: CohortValues) -> None:
        self.names = names
        self._source = source
        self._values = values

    async def of(self, device_ids: Sequence[str]) -> dict[str, Cohorts]:
        """The cohorts of some devices, as far as the hub knows them already. A query for each hundred.

        Raises:
            UnavailableError: A service does not answer.
        """
        found: dict[str, Cohorts] = {}
        for some in batched(device_ids, PAGE_SIZE, strict=False):
            found |= await self._cohorts((await self._source.tags(None, some)).twins)
        return found

    async def page(self, continuation: str | None) -> tuple[dict[str, Cohorts], str | None]:
        """The cohorts of a page of all devices, and what asks for the next one; None at the end.

        Raises:
            ContinuationError: The hub does not take the continuation.
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
        """The values of the wanted tags of a device; an object, or a list, makes no cohort."""
        found: dict[str, str] = {}
        for name in self.names:
            value = tags.get(name)
            if isinstance(value, bool):
                found[name] = str(value).lower()
            elif isinstance(value, str | int | float):
                found[name] = clean(str(value), VALUE_LIMIT)
            elif value is not None:
                _log.warning("the tag %r of a device holds no text and no number: it makes no cohort", name)
        return {name: value for name, value in found.items() if value}


def _named(name: str, value: str, counted: Mapping[str, frozenset[str]]) -> list[str]:
    cohort = [f"{name}={value}"]
    return cohort if value in counted.get(name, ()) else [*cohort, f"{name}={OTHER}"]
