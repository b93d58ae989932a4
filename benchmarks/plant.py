"""A fleet of two thousand devices, 400 stuck ones, six causes: what a few simulated devices left, many times over."""

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableServiceClient

from benchmarks.seeding import Entity, seed_devices
from local.azurite import azurite_tables
from local.fleet import ImageBehaviour, Trouble, mixed_fleet, release
from local.fleet.mixed import image
from local.stack import Stack, running_stack
from status_app.rollouts import deployment_rows
from status_app.rollouts.progress_points import ProgressPoint, point_row
from status_app.services import services
from status_app.status_table import reader
from status_app.storage.heartbeats import Source

FLEET_NAME: Final = "North plants"
BEGIN: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
_SAMPLES: Final = 10
_JOB: Final = "crashing job"
"""A trouble beside those of a mixed fleet: another module ends at once."""
_UNDER_WAY: Final = "under way"
STUCK: Final[Mapping[str, int]] = {
    Trouble.CRASHING_MODULE: 160,
    Trouble.OFF: 110,
    Trouble.REFUSED_PULL: 70,
    Trouble.HANGING_PULL: 35,
    Trouble.OLD_AGENT: 15,
    _JOB: 10,
}
"""How many devices are stuck, by what strikes them."""
UNDER_WAY: Final = 60
_MINUTES: Final = 46
"""Since the rollout began."""
DEVICES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Sample:
    """What the app keeps of a simulated device, and its twin."""

    rows: Sequence[Entity]
    twin: Mapping[str, Any]


@dataclass
class Plant:
    """The app over the tables of the fleet.

    Attributes:
        now: The time of the app.
    """

    stack: Stack
    tables: str
    devices: Mapping[str, str]
    now: datetime


@asynccontextmanager
async def running_plant(key: str, devices: int = DEVICES) -> AsyncIterator[Plant]:
    """Run the app over a fleet, whose devices are named `press-0001` and so on.

    Args:
        key: Opens the HTTP functions.
        devices: How many there are; those that are stuck are as many, however many there are.
    """
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        samples, past, now = await _samples(folder)
        fleet = _spread(devices)
        database = folder / "tables"
        database.mkdir()
        seed_devices(database, {name: _rows(samples[kind].rows, name) for name, kind in fleet.items()})
        with azurite_tables(database) as tables:
            async with TableServiceClient.from_connection_string(tables) as service:
                client = service.get_table_client(deployment_rows.TABLE)
                for row in past:
                    await client.upsert_entity(row)
            plant: list[Plant] = []
            clock = lambda: plant[0].now if plant else now  # noqa: E731 (the fleet has the time)
            settings = {"FLEET_NAME": FLEET_NAME}
            async with running_stack(
                folder, tables, clock, routes=False, function_key=key, own_settings=settings
            ) as stack:
                for name, kind in fleet.items():
                    stack.iot_hub.registry.put({**samples[kind].twin, "deviceId": name})
                plant.append(Plant(stack, tables, fleet, now))
                await stack.host.run_timer("flag_stuck")
                async with TableServiceClient.from_connection_string(tables) as service:
                    client = service.get_table_client(deployment_rows.TABLE)
                    await client.upsert_entity(_progress(now), mode=UpdateMode.MERGE)
                async with services().heartbeats.beating(Source.RESYNC):
                    pass  # the tables are what it would leave
                yield plant[0]


def _spread(devices: int) -> dict[str, str]:
    """Of each device, what it is a copy of: those in trouble are all over the fleet."""
    kinds = [kind for kind, count in STUCK.items() for _ in range(count)] + [_UNDER_WAY] * UNDER_WAY
    kinds += [Trouble.NONE] * (devices - len(kinds))
    step = 7  # no divisor of a size that is asked for: each place is taken once
    places = islice(cycle(range(devices)), 0, devices * step, step)
    names = [f"press-{place + 1:04}" for place in places]
    return dict(sorted(zip(names, kinds, strict=True)))


def _progress(now: datetime) -> dict[str, Any]:
    """The points of a rollout that came on ever more slowly, each minute before the count that is there."""
    row: dict[str, Any] = {}
    for number in range(1, _MINUTES):
        done, stuck = int(1_540 * (1 - 0.93**number)), max(0, min(400, 25 * (number - 18)))
        at = now - timedelta(minutes=_MINUTES - number)
        point = ProgressPoint(at, 1, DEVICES, min(1_940, 200 + 90 * number), done, max(0, 60 - number), stuck)
        row |= point_row("deployments", "release-2", number, point)[1]
    return row


def _rows(rows: Sequence[Entity], name: str) -> list[Entity]:
    return [{**row, "PartitionKey": name} for row in rows]


async def _samples(folder: Path) -> tuple[dict[str, Sample], list[Entity], datetime]:
    """A device of each kind, what is kept of the release before, and the time at the end."""
    time = [BEGIN]
    with azurite_tables() as tables:
        async with running_stack(folder, tables, lambda: time[-1]) as stack:
            registry = stack.iot_hub.registry
            devices, troubles = mixed_fleet(registry, _SAMPLES, time[-1])
            healthy = [name for name, trouble in troubles.items() if trouble is Trouble.NONE]
            kinds = {str(trouble): name for name, trouble in troubles.items()}
            kinds |= {_JOB: healthy[0], _UNDER_WAY: healthy[1], Trouble.NONE: healthy[2]}
            images = devices.agents[healthy[0]].runtime.images
            images[image("telemetry", 2)] = ImageBehaviour(exits_after=3, exit_code=1)
            devices.agents[healthy[1]].runtime.images[image("uploader", 3)] = ImageBehaviour(pull_seconds=None)

            async def run(minutes: int) -> None:
                for _ in range(minutes):
                    time.append(time[-1] + timedelta(minutes=1))
                    devices.step(time[-1])
                await stack.drained()
                await stack.host.run_timer("flag_stuck")

            devices.deploy("release-1", release(1), troubles, time[-1])
            await run(3)
            devices.deploy("release-2", release(2), troubles, time[-1])
            await run(20)
            await run(20)
            devices.deploy("release-3-canary", release(3), [kinds[_UNDER_WAY]], time[-1])
            await run(6)
            twins = {kind: registry.get(name) for kind, name in kinds.items()}
        async with TableServiceClient.from_connection_string(tables) as service:
            statuses, deployments = (service.get_table_client(name) for name in (reader.TABLE, deployment_rows.TABLE))
            samples = {
                kind: Sample(
                    [row async for row in statuses.query_entities(f"PartitionKey eq '{name}'")], twins[kind] or {}
                )
                for kind, name in kinds.items()
            }
            past: list[Entity] = [row async for row in deployments.query_entities("RowKey eq 'deployment|release-1'")]
    return samples, past, time[-1]
