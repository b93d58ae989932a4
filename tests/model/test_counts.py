"""Counts of deployments, made of what was counted before and of what changed, beside those of all that there is."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from status_app.fleet_index import deployment_index, index_rows
from status_app.fleet_index.deployment_index import DeploymentIndex
from status_app.fleet_index.index_rows import IndexRows, changed_rows, deployments_of
from status_app.rollouts import deployment_counts, tally_row
from status_app.rollouts.deployment_counts import DeploymentCounts
from status_app.rollouts.deployment_rows import DeploymentRows
from status_app.rollouts.deployments import Deployments
from status_app.status_table.rows import long
from status_app.storage import transaction
from status_core import GracePolicy

from .tables import Tables, TableService
from .world import submit

SHARD = index_rows.SHARDS[:1]
LONG = "d" * 390  # with the name of a long deployment its keys are too long to tell the devices apart
NAMES = ("a", "a-1", "a-11", "a-2", "b", "b|c", "b:c", "é", "~", "z", LONG + "1", LONG + "2", LONG + "3")
DEPLOYMENTS = ("base", "layer", "l" * 100)
STATES = (None, ("successful", "as_desired"), ("module_failed", "backoff"), ("module_failed", "exited"))

moves = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(STATES),
    st.booleans(),
    st.sets(st.sampled_from(DEPLOYMENTS)),
    st.sampled_from(["done", "done", "done", "on its way", "never came", "in halves"]),
)
steps = st.lists(st.one_of(moves, st.just("count"), st.just("a day")), max_size=40)


LATE = (STATES[1], False, {"base"}, "in halves")


def with_a_long_name(end: str, state: Any = STATES[1]) -> tuple[Any, ...]:
    return LONG + end, state, False, {"l" * 100}, "done"


class Fleet:
    """The devices, of which only the rows in the index are kept."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.tables = Tables()
        client: Any = TableService(self.tables).get_table_client(deployment_index.TABLE)
        self.index, self.rows = DeploymentIndex(client, self.time), DeploymentRows(client, self.time)
        table: Any = self  # of the table of devices only their rows are asked for
        counts = DeploymentCounts(self.index, self.rows, table)
        self.deployments = Deployments(self.rows, self.index, counts, None, GracePolicy(), hub="hub1", clock=self.time)
        self.devices: dict[str, IndexRows] = {}
        self.late: list[tuple[str, IndexRows, IndexRows]] = []
        self.generation = 0

    def time(self) -> datetime:
        return self.now

    async def index_rows(self, device_id: str) -> IndexRows:
        """In the place of `StatusTable.index_rows`."""
        return self.devices.get(device_id, {})

    async def move(self, device: str, state: Any, stuck: bool, deployments: set[str], end: str) -> None:
        self.generation += 1
        row: dict[str, Any] = {"Generation": long(self.generation), "Deployments": json.dumps(sorted(deployments))}
        row |= {"FirstStuckSince": self.now} if stuck else {}
        row |= {"State": state[0], "Reason": state[1], "Portal": ""} if state else {}
        before, after = self.devices.get(device, {}), index_rows.index_rows(device, {"device": row} if state else {})
        changed = changed_rows(device, after, before)
        await self.rows.mark(deployments_of(changed.values()))
        await self.index.add(changed if end == "in halves" else after | changed)
        if end in {"on its way", "in halves"}:
            self.late.append((device, before, after))
        elif end == "done":
            self.devices[device] = after
            await self.index.remove(before)

    async def arrive(self) -> None:
        """Let the changes that are on their way come to their end, but those of which another was first."""
        for device, before, after in self.late:
            if self.devices.get(device, {}) == before:
                await self.index.add(after)
                self.devices[device] = after
                await self.index.remove(before)
        self.late.clear()

    async def count(self, seconds: int = 60) -> None:
        self.now += timedelta(seconds=seconds)
        await self.deployments.watch()

    def told(self) -> dict[str, tuple[int, int, dict[str, int]]]:
        return {
            row["RowKey"].partition("|")[2]: (row["Devices"], row["Stuck"], json.loads(row["States"]))
            for row in self.tables.rows(deployment_index.TABLE)
            if row["RowKey"].startswith("deployment|") and row["PartitionKey"] == "deployments" and row["Devices"]
        }

    def known(self) -> dict[str, tuple[int, int, dict[str, int]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for rows in self.devices.values():
            for row in rows.values():
                if "Deployment" in row:
                    found.setdefault(row["Deployment"], []).append(row)
        return {
            deployment: (
                len(rows),
                sum("StuckSince" in row for row in rows),
                dict(sorted(Counter(row["State"] for row in rows).items())),
            )
            for deployment, rows in found.items()
        }

    async def sweep(self) -> None:
        """What a resync does with rows that no device has."""
        async for pointer in self.index.devices():
            if pointer.key not in self.devices.get(pointer.device_id, {}):
                await self.index.discard(pointer)
        async for pointer in self.index.doubtful():
            if pointer.key not in self.devices.get(pointer.device_id, {}):
                changed = changed_rows(pointer.device_id, {}, {pointer.key: dict(pointer.columns)})
                await self.rows.mark(deployments_of(changed.values()))
                await self.index.add(changed)
                await self.index.discard(pointer)


@example([*map(with_a_long_name, "123"), "count", with_a_long_name("1", STATES[2])], 1, 64)
@example([("a", STATES[1], False, {"base"}, "done"), "count", ("b", *LATE), "count"], 1, 1)
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps, st.sampled_from([1, 2, 100]), st.sampled_from([1, 3, 64]))
def test_what_changed_since_the_last_count_is_all_that_the_next_one_needs(
    steps: list[Any], chunk: int, chunks: int
) -> None:
    async def happen() -> None:
        fleet = Fleet()
        await TableService(fleet.tables).create_table_if_not_exists(deployment_index.TABLE)
        for step in steps:
            if step == "count":
                await fleet.count(seconds=10)  # no writer takes longer than 15 minutes
            elif step == "a day":
                await fleet.arrive()
                fleet.now += timedelta(days=1)
            else:
                await fleet.move(*step)
        await fleet.arrive()
        fleet.now += timedelta(minutes=16)  # no writer is under way any more
        await fleet.sweep()
        for _ in range(18):
            await fleet.count()
        assert fleet.told() == fleet.known()
        assert await fleet.index.changed() == []

    with pytest.MonkeyPatch.context() as monkeypatch:
        for module in (deployment_counts, deployment_index, index_rows, tally_row):
            monkeypatch.setattr(module, "SHARDS", SHARD)
        monkeypatch.setattr(tally_row, "CHUNK", chunk)
        monkeypatch.setattr(deployment_counts, "CHUNKS", chunks)
        with patch.object(transaction, "submit", submit):
            asyncio.run(happen())
