"""The benchmarks run and fill their table. Tests hold what they count, and leave what they time."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.fleets import QUERIES

ROOT = Path(__file__).parents[1]

type Rows = Mapping[str, tuple[str, str]]
"""What was measured, and its ratio, by part and name."""


@pytest.fixture(scope="module")
def rows() -> Rows:
    command = [sys.executable, "-m", "benchmarks", "--short"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 (a fixed command)
    cells = [re.split(r" *\| *", line)[1:-1] for line in result.stdout.splitlines() if line.startswith("|")]
    return {f"{part}: {what}": (measured, ratio) for part, what, measured, ratio, *_ in cells[2:]}


def test_every_part_has_its_rows(rows: Rows) -> None:
    names = [re.sub(r"[\d,.]+", "N", name) for name in rows]
    wanted = [
        "core: evaluate, golden cases",
        "core: evaluate, twins of a rollout",
        *(
            f"end to end: {mix}: {what}"
            for mix in ("kept up", "backlog")
            for what in (
                "naive, N notifications of N changed devices",
                "app, the same",
                "time of the app",
                "time of the app and its host",
                "CPU of the app",
                "requests for twins for each changed device",
                "table requests for each changed device",
                "entities written for each changed device",
                "requests for twins by flag_stuck beside these",
            )
        ),
        *(f"batch: {name} for each of N changed devices in a batch" for name in ("table requests", "entities")),
        "end to end: kept up, no limit of queries: requests for twins for each changed device",
        "end to end: kept up, calls as long as in Azure: app",
        "memory: a process of the app, after a batch of 100, 5 modules each",
        *(f"resync: {name}, N devices" for name in ("an hourly run", "the daily comparison", "a whole pass")),
        *(f"fleets: {name}, N devices" for name in ("flag_stuck, N due", *QUERIES)),
        "start: import of function_app",
        "start: from the host's start to the first handled batch",
    ]
    assert [re.sub(r"[\d,.]+", "N", name) for name in wanted if re.sub(r"[\d,.]+", "N", name) not in names] == []


def test_the_app_reads_a_twin_once_for_each_change_or_less(rows: Rows) -> None:
    for mix in ("kept up", "backlog"):
        assert float(rows[f"end to end: {mix}: requests for twins for each changed device"][0]) <= 1


def test_a_backlog_costs_the_app_fewer_requests_and_entities_than_the_naive_function(rows: Rows) -> None:
    for what in ("requests for twins", "table requests", "entities written"):
        assert float(rows[f"end to end: backlog: {what} for each changed device"][1]) < 1


def test_a_resync_of_what_is_unchanged_reads_no_twin(rows: Rows) -> None:
    asked = [measured for name, (measured, _) in rows.items() if name.startswith("resync: ")]
    assert [reads for reads in asked if not reads.startswith("0 twin reads, ")] == []


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_makes_the_same_requests_in_a_fleet_of_twice_the_size(rows: Rows, query: str) -> None:
    requests = [
        measured.partition(" requests")[0]
        for name, (measured, _) in rows.items()
        if name.startswith(f"fleets: {query}, ")
    ]
    assert len(requests) == 2
    assert len(set(requests)) == 1
