"""The whole chain on one machine, as doctor checks it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.stack import Stack, running_stack
from local.tables import TableProxy, table_proxy
from status_app.commands.doctor.command import doctor
from status_app.queries.health import KEPT

TWIN = json.loads((Path(__file__).parents[1] / "cases/048_200_module_backoff.json").read_bytes())["twin"]
KEY = "hunter2-function-key"


class Chain:
    """The app with all that it needs, a device, and what doctor says of it."""

    def __init__(self, stack: Stack, tables: TableProxy) -> None:
        self.stack = stack
        self.tables = tables
        self.now = timedelta(0)
        """How far the time of the caller is from that on the wall."""
        self.environment = dict(stack.settings) | {
            "DEPLOYMENT_STATUS_URL": stack.api.removesuffix("/api"),
            "DEPLOYMENT_STATUS_KEY": KEY,
        }

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.now

    async def run_timers(self) -> None:
        """Run them at a time at which health no longer gives the answer of before."""
        self.now += KEPT
        for timer in ("flag_stuck", "resync"):
            assert (await self.stack.host.run_timer(timer)).ok

    async def doctor(self, *, without: tuple[str, ...] = (), as_json: bool = False) -> tuple[int, list[str]]:
        """The exit code and the lines; `without` are settings that are not set here."""
        lines: list[str] = []
        environment = {name: value for name, value in self.environment.items() if name not in without}
        code = await doctor(environment, lines.append, as_json=as_json, clock=self.clock)
        text = "\n".join(lines)
        assert not [secret for secret in (KEY, "SharedAccessKey=", "AccountKey=") if secret in text]
        return code, lines

    async def wrong(self, *, without: tuple[str, ...] = ()) -> list[str]:
        """What doctor says is wrong, without what mends it."""
        code, lines = await self.doctor(without=without)
        found = [line.removeprefix("WRONG").strip() for line in lines if line.startswith("WRONG")]
        assert code == (1 if found else 0)
        return found


@asynccontextmanager
async def running_chain(folder: Path, behind: str) -> AsyncIterator[Chain]:
    """A chain with a device, both timers of which have run."""
    async with table_proxy(behind) as tables:
        chain: list[Chain] = []
        clock = lambda: chain[0].clock() if chain else datetime.now(UTC)  # noqa: E731 (the chain has the time)
        async with running_stack(folder, tables.connection_string, clock, function_key=KEY) as stack:
            chain.append(Chain(stack, tables))
            stack.iot_hub.registry.put(TWIN | {"deviceId": "edge-01"})
            await stack.drained()
            await chain[0].run_timers()
            yield chain[0]
