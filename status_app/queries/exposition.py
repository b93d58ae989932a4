"""The fleet and the app as Prometheus metrics, in its text format.

They come from counters, so the cost does not depend on the size of the fleet. A response is reused for `KEPT`.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Self

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables.aio import TableClient

from status_app.queries.answers import readable
from status_app.queries.health import TargetHealth
from status_app.queries.pages import IndexedDevices
from status_app.rollouts.deployment_rows import DeploymentRows
from status_app.rollouts.stored_deployment import CountedDeployment
from status_app.storage.client import PAGE, table_errors
from status_app.storage.columns import DEPLOYMENT_COLUMNS, shown
from status_app.storage.heartbeats import Heartbeats, Source
from status_app.version import VERSION

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
KEPT: Final = timedelta(seconds=30)
TOP_CAUSES: Final = 20
"""Over all deployments, the causes with the most stuck devices."""
MOST_DEPLOYMENTS: Final = 200
"""The deployments with the most devices. A hub has a hundred."""
_LONGEST: Final = 200
"""Characters of a label."""

type Labels = Mapping[str, str]
type Samples = Iterable[tuple[Labels, float]]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with its samples."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    samples: Samples

    def lines(self) -> Iterator[str]:
        """Yield the metric in the text format."""
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples:
            text_of_labels = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            yield f"{self.name}{{{text_of_labels}}} {value:.17g}" if text_of_labels else f"{self.name} {value:.17g}"


@dataclass(frozen=True, slots=True)
class _DeploymentMetrics:
    """The metrics of a deployment."""

    deployment: str
    devices: int
    successful: int
    states: Mapping[str, int]

    @classmethod
    def read(cls, stored: CountedDeployment) -> Self:
        row = shown(DEPLOYMENT_COLUMNS, stored.row)
        states = {state: int(devices) for state, devices in row["states"].items()}
        return cls(stored.deployment, int(row["devices"]), int(row["successful"]), states)


class Exposition:
    """Creates the metrics.

    Args:
        indexed: The devices.
        deployments: The deployments, as last counted.
        heartbeats: The last runs of the timers and the trigger.
        dead_letters: The table of events that were given up.
        targets: Returns the states of the targets of notices, by name.
        names: The short name of the hub, and the fleet's name for people.
        clock: Returns the time in UTC.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (each is a source of metrics)
        self,
        indexed: IndexedDevices,
        deployments: DeploymentRows,
        heartbeats: Heartbeats,
        dead_letters: TableClient,
        targets: Callable[[], Awaitable[Mapping[str, TargetHealth]]],
        names: tuple[str, str],
        clock: Callable[[], datetime],
    ) -> None:
        self._indexed = indexed
        self._deployments = deployments
        self._heartbeats = heartbeats
        self._dead_letters = dead_letters
        self._targets = targets
        self._names = names
        self._clock = clock
        self._kept: tuple[datetime, asyncio.Task[str]] | None = None

    async def text(self) -> str:
        """Return all metrics.

        Raises:
            UnavailableError: The table service does not answer.
        """
        now = self._clock()
        kept = self._kept
        failed = kept is not None and kept[1].done() and (kept[1].cancelled() or kept[1].exception() is not None)
        if kept is None or failed or not timedelta(0) <= now - kept[0] < KEPT:
            self._kept = kept = now, asyncio.create_task(self._asked())
        return await asyncio.shield(kept[1])  # a client that hangs up must not cancel it for others

    async def _asked(self) -> str:
        families = [*await self._fleet(), *await self._app()]
        return "".join(f"{line}\n" for family in families for line in family.lines())

    async def _fleet(self) -> list[Family]:
        """Read the metrics of the fleet: one request for the deployments, and one per shard of the index."""
        counted, stuck = dict[str, _DeploymentMetrics](), Counter[tuple[str, str]]()
        with suppress(ResourceNotFoundError):  # nothing has run yet
            stored = await self._all_counted()
            counted = {
                found.deployment: found for found in readable(stored, _DeploymentMetrics.read, lambda item: item.key)
            }
            others = await self._indexed.overflow_counters()
            for item in [*await self._indexed.index.counters(), *others]:
                if item.is_stuck and item.cause and item.deployment and not item.cohort:
                    stuck[item.deployment, item.cause[:_LONGEST]] += item.devices  # a label set must be unique
        most = sorted(counted.values(), key=lambda found: (-found.devices, found.deployment))[:MOST_DEPLOYMENTS]
        return [
            Family(
                "edge_deployment_devices",
                "gauge",
                "Devices of a deployment by their state.",
                [
                    ({"deployment": found.deployment, "state": state}, number)
                    for found in most
                    for state, number in found.states.items()
                ],
            ),
            Family(
                "edge_deployment_progress_ratio",
                "gauge",
                "Successful devices of a deployment, of all that it is applied to.",
                [
                    ({"deployment": found.deployment}, found.successful / found.devices)
                    for found in most
                    if found.devices
                ],
            ),
            Family(
                "edge_deployment_stuck",
                "gauge",
                f"Devices of a deployment with something stuck, by cause: the {TOP_CAUSES} largest.",
                [
                    ({"deployment": name, "cause": cause}, number)
                    for (name, cause), number in sorted(stuck.items(), key=lambda item: (-item[1], item[0]))[
                        :TOP_CAUSES
                    ]
                ],
            ),
        ]

    async def _all_counted(self) -> list[CountedDeployment]:
        found: list[CountedDeployment] = []
        while not len(found) % PAGE:
            page = await self._deployments.counted(found[-1].key if found else None, PAGE)
            found += page
            if not page:
                break
        return found

    async def _app(self) -> list[Family]:
        beats, targets = await self._heartbeats.read(), await self._targets()
        trigger = beats.get(Source.ON_TWIN_CHANGES)
        hub, fleet = self._names
        return [
            Family(
                "edge_deployment_run_timestamp_seconds",
                "gauge",
                "When a function last ran.",
                [({"function": source}, beat.ran_at.timestamp()) for source, beat in beats.items()],
            ),
            Family(
                "edge_deployment_success_timestamp_seconds",
                "gauge",
                "When a function last ran without an error.",
                [
                    ({"function": source}, beat.succeeded_at.timestamp())
                    for source, beat in beats.items()
                    if beat.succeeded_at is not None
                ],
            ),
            Family(
                "edge_deployment_lag_seconds",
                "gauge",
                "Age of the oldest event of the last batch when the batch began.",
                [({}, trigger.lag)] if trigger is not None and trigger.lag is not None else [],
            ),
            Family(
                "edge_deployment_dead_letters",
                "gauge",
                f"Events in the table DeadLetter; {PAGE} means that many, or more.",
                [({}, await self._count_dead_letters())],
            ),
            Family(
                "edge_deployment_notices_unsent",
                "gauge",
                f"Messages that a target has not accepted yet; {PAGE} means that many, or more.",
                [({"target": name}, state.unsent) for name, state in targets.items()],
            ),
            Family(
                "edge_deployment_notices_given_up_total",
                "counter",
                "Messages that a target did not accept for a day.",
                [({"target": name}, state.given_up) for name, state in targets.items()],
            ),
            Family(
                "edge_deployment_build_info",
                "gauge",
                "The version of the app, the hub and the name of the fleet.",
                [({"version": VERSION, "hub": hub, "fleet": fleet}, 1)],
            ),
        ]

    async def _count_dead_letters(self) -> int:
        """Count the dead letters, up to a page. One request."""
        found = 0
        with suppress(ResourceNotFoundError), table_errors():
            async for _ in self._dead_letters.list_entities(results_per_page=PAGE, select=["RowKey"]):
                found += 1
                if found == PAGE:
                    break
        return found


def _escaped(text: str) -> str:
    return text[:_LONGEST].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
