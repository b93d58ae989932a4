"""What a timer and a question cost as the fleet grows: flag_stuck over what is due or changed, and each query."""

import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from azure.data.tables.aio import TableServiceClient

from benchmarks.seeding import seed
from benchmarks.table import Row
from local.azurite import azurite_tables
from local.iothub.unasked import UnaskedTwins
from local.tables import TableProxy, table_proxy
from status_app.fleet_index.leading_cause import cause_id
from status_app.ingest.notifications import Notification
from status_app.iothub.twins import TwinPage
from status_app.queries import DeviceFilter
from status_app.queries.fleet import Fleet
from status_app.reconcile.tasks import Notified
from status_app.services import Services
from status_app.settings import Settings
from status_app.storage.keys import AFTER_STATE, DEVICE
from status_core import State, evaluate

SIZES: Final = (1_000, 10_000, 100_000)
DUE: Final = 100
PAGE: Final = 50
START: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
LATER: Final = START + timedelta(minutes=20)
_PART: Final = "fleets"
_ROUNDS: Final = 3
_DEPLOYMENT: Final = "release-1"
_IMAGE: Final = "camera:1.0"
_BACKOFF: Final = 2
"""The version of a twin whose module waits to be started; of a later one it has failed."""
_NAMES: Final = [f"fleet-{number}-due" for number in Random(1).sample(range(SIZES[-1]), DUE)]  # noqa: S311 (no secret)
"""The devices that become due: they are all over a fleet, in the order of its keys and in its shards."""

QUERIES: Final[Mapping[str, Callable[[Fleet], Awaitable[object]]]] = {
    "a device": lambda fleet: fleet.device(_NAMES[0]),
    "transitions of a device": lambda fleet: fleet.transitions(_NAMES[0], None, PAGE),
    "a page of devices": lambda fleet: fleet.devices(DeviceFilter(), None, PAGE),
    "a page of devices in a state": lambda fleet: fleet.devices(DeviceFilter(State.MODULE_FAILED), None, PAGE),
    "a page of devices of a deployment": lambda fleet: fleet.devices(DeviceFilter(deployment=_DEPLOYMENT), None, PAGE),
    "a page of stuck devices": lambda fleet: fleet.devices(DeviceFilter(stuck=True), None, PAGE),
    "a page of stuck modules": lambda fleet: fleet.stuck_modules(None, PAGE),
    "a page of modules due within the hour": lambda fleet: fleet.modules_due(LATER + timedelta(hours=1), None, PAGE),
    "deployments": lambda fleet: fleet.deployments(None, PAGE),
    "a deployment, counted": lambda fleet: fleet.deployment(_DEPLOYMENT),
    "the progress of a deployment": lambda fleet: fleet.progress(_DEPLOYMENT),
    "a page of disagreements on a deployment": lambda fleet: fleet.disagreements(_DEPLOYMENT, None, PAGE),
    "causes": lambda fleet: fleet.causes(None, None, None, PAGE),
    "causes of a deployment": lambda fleet: fleet.causes(_DEPLOYMENT, None, None, PAGE),
    "a page of devices of a cause": lambda fleet: fleet.cause_devices(_cause(), None, PAGE),
    "images": lambda fleet: fleet.images(None, PAGE),
    "agents": lambda fleet: fleet.agents(None, PAGE),
    "a page of devices of an image": lambda fleet: fleet.devices(DeviceFilter(image=_IMAGE), None, PAGE),
    "a page of devices of an image that none has": lambda fleet: fleet.devices(DeviceFilter(image="x"), None, PAGE),
}


class _Twins(UnaskedTwins):
    """A hub that knows every device, each with one module that keeps exiting."""

    def __init__(self) -> None:
        self.version = _BACKOFF

    async def read(self, device_id: str, _share: object = None) -> Mapping[str, Any]:
        return self.twin(device_id)

    def twin(self, device_id: str) -> Mapping[str, Any]:
        """The twin of a device."""
        module = {"settings": {"image": _IMAGE}}
        at = {"$metadata": {"$lastUpdated": START.isoformat()}}
        desired = {"$version": 1, "modules": {"camera": {"status": "running", **module}}, **at}
        reported = {
            "lastDesiredVersion": 1,
            "lastDesiredStatus": {"code": 200},
            "modules": {"camera": {"runtimeStatus": "backoff" if self.version == _BACKOFF else "failed", **module}},
            **at,
        }
        return {
            "deviceId": device_id,
            "version": self.version,
            "configurations": {_DEPLOYMENT: {"status": "Applied"}},
            "properties": {"desired": desired, "reported": reported},
        }

    async def several(self, device_ids: Sequence[str], _share: object = None) -> Sequence[Mapping[str, Any]]:
        return [await self.read(device_id) for device_id in device_ids]

    async def page(self, _continuation: str | None, _share: object = None, _since: object = None) -> TwinPage:
        return TwinPage([], None)


def _cause() -> str:
    """The id of the cause under which the devices of the fleet are counted."""
    return cause_id(str(evaluate(_Twins().twin(_NAMES[0])).cause))


async def fleets(*, short: bool) -> list[Row]:
    """Requests and seconds for each size, as ratios to the smallest."""
    sizes = (200, 400) if short else SIZES
    rows = await _rows()
    found: dict[str, list[tuple[int, float]]] = {}
    for devices in sizes:
        with tempfile.TemporaryDirectory() as folder:
            seed(Path(folder), rows, (f"fleet-{number}" for number in range(devices - DUE)))
            with azurite_tables(Path(folder)) as tables:
                async with table_proxy(tables, keep_alive=False) as proxy:
                    for name, measured in (await _measure(proxy, 1 if short else _ROUNDS)).items():
                        found.setdefault(name, []).append(measured)
    return [
        _row(name, devices, measured, sizes[0], smallest)
        for name, (smallest, *larger) in found.items()
        for devices, measured in zip(sizes, (smallest, *larger), strict=True)
    ]


def _row(name: str, devices: int, measured: tuple[int, float], fewest: int, smallest: tuple[int, float]) -> Row:
    (requests, seconds), (requests_before, seconds_before) = measured, smallest
    what, value = f"{name}, {devices:,} devices", f"{requests:,} requests, {seconds * 1000:,.0f} ms"
    if devices == fewest:
        return Row(_PART, what, value)
    ratio = f"{requests / requests_before:.1f} and {seconds / seconds_before:.1f}"
    return Row(_PART, what, value, ratio, f"{fewest:,} devices")


async def _measure(proxy: TableProxy, rounds: int) -> dict[str, tuple[int, float]]:
    """Table requests and seconds of runs of flag_stuck, and of each query then."""
    now, twins = [START], _Twins()
    services = await _prepare(proxy.connection_string, now, twins)
    flag_stuck = await services.flag_stuck()
    found = {"flag_stuck, the first count of all": await _cost(proxy, flag_stuck.run)}
    now.append(LATER)
    found[f"flag_stuck, {DUE} due"] = await _cost(proxy, flag_stuck.run)
    now.append(LATER + timedelta(minutes=1))
    await flag_stuck.run()
    twins.version += 1
    await (await services.reconciler()).run([Notified(Notification(_NAMES[0]))])
    found["flag_stuck, one changed"] = await _cost(proxy, flag_stuck.run)
    fleet = services.fleet()
    for name, query in QUERIES.items():
        costs = [await _cost(proxy, partial(query, fleet)) for _ in range(rounds)]
        found[name] = min(costs)
    await services.close()
    return found


async def _cost(proxy: TableProxy, work: Callable[[], Awaitable[object]]) -> tuple[int, float]:
    before, started = proxy.requests.total(), time.perf_counter()
    await work()
    seconds = time.perf_counter() - started
    return proxy.requests.total() - before, seconds


async def _prepare(tables: str, now: list[datetime], twins: _Twins) -> Services:
    """The app, with a hundred devices that are unsettled since now."""
    settings = Settings.read({"STATUS_TABLES": tables, "IOT_HUB": "hub.example.com"})
    services = Services(settings, clock=lambda: now[-1], twins=twins)
    reconciler = await services.reconciler()
    await reconciler.run(Notified(Notification(name)) for name in _NAMES)
    return services


async def _rows() -> list[Mapping[str, Any]]:
    """The rows of a device that is due long after the run, with short messages: its fleet has to fit into a file."""
    with azurite_tables() as tables:
        await (await _prepare(tables, [START], _Twins())).close()
        async with TableServiceClient.from_connection_string(tables) as service:
            table = service.get_table_client("DeploymentStatus")
            found = table.query_entities(f"PartitionKey eq '{_NAMES[0]}' and RowKey lt '{AFTER_STATE}'")
            rows = [row async for row in found]
    later = {"LookAt": START + timedelta(days=1)}
    return [{**row, "Message": "Waits.", **(later if row["RowKey"] == DEVICE else {})} for row in rows]
