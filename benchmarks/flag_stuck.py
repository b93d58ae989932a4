"""`python -m benchmarks.flag_stuck`: what a run of flag_stuck over a hundred due devices costs as the fleet grows."""

import asyncio
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from azure.data.tables.aio import TableServiceClient

from benchmarks.seeding import seed
from local.azurite import azurite_tables
from local.tables import table_proxy
from status_app.notifications import Notification
from status_app.services import Services
from status_app.settings import Settings
from status_app.twins import TwinPage

FLEETS: Final = (1_000, 10_000, 100_000)
DUE: Final = 100
START: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)


class _Twins:
    """A hub that knows every device, each with one module that keeps exiting."""

    async def read(self, device_id: str) -> Mapping[str, Any]:
        module = {"settings": {"image": "camera:1.0"}}
        at = {"$metadata": {"$lastUpdated": START.isoformat()}}
        desired = {"$version": 1, "modules": {"camera": {"status": "running", **module}}, **at}
        reported = {
            "lastDesiredVersion": 1,
            "lastDesiredStatus": {"code": 200},
            "modules": {"camera": {"runtimeStatus": "backoff", **module}},
            **at,
        }
        return {"deviceId": device_id, "version": 2, "properties": {"desired": desired, "reported": reported}}

    async def page(self, _continuation: str | None) -> TwinPage:
        return TwinPage([], None)


async def _prepare(tables: str, now: list[datetime]) -> Services:
    """The app, with a hundred devices that are unsettled since now."""
    settings = Settings.read({"STATUS_TABLES": tables, "IOT_HUB": "hub.example.com"})
    services = Services(settings, clock=lambda: now[-1], twins=_Twins())
    reconciler = await services.reconciler()
    for number in range(DUE):
        await reconciler.look(Notification(f"due-{number}"))
    return services


async def _measure(tables: str) -> tuple[float, int]:
    """Seconds and table requests of a run."""
    now = [START]
    async with table_proxy(tables) as proxy:
        services = await _prepare(proxy.connection_string, now)
        now.append(START + timedelta(minutes=20))
        before = proxy.requests.total()
        started = time.perf_counter()
        await (await services.flag_stuck()).run()
        seconds = time.perf_counter() - started
        await services.close()
        return seconds, proxy.requests.total() - before


async def _rows() -> list[Mapping[str, Any]]:
    """The row of a device that is due long after the run."""
    with azurite_tables() as tables:
        await (await _prepare(tables, [START])).close()
        async with TableServiceClient.from_connection_string(tables) as service:
            row = await service.get_table_client("DeploymentStatus").get_entity("due-0", "device")
    return [{**row, "LookAt": START + timedelta(days=1)}]


async def main() -> None:
    """Print a line for each size, with its ratio to the smallest."""
    rows, first = await _rows(), 0.0
    print(f"{'devices':>9} {'due':>5} {'requests':>9} {'seconds':>8} {'ratio':>6}")
    for devices in FLEETS:
        with tempfile.TemporaryDirectory() as folder:
            seed(Path(folder), rows, (f"fleet-{number}" for number in range(devices - DUE)))
            with azurite_tables(Path(folder)) as tables:
                seconds, requests = await _measure(tables)
        first = first or seconds
        print(f"{devices:>9,} {DUE:>5} {requests:>9} {seconds:>8.2f} {seconds / first:>6.2f}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
