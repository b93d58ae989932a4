"""Periods in different places, one of which has to be longer than the other: docs/reliability.md has the reasons."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from status_app.reconcile import flag_stuck, index_build, resync, twin_changes
from status_app.reconcile.flag_stuck import FORGOTTEN_AFTER, WRITERS_END_AFTER
from status_app.reconcile.resync_position import LEASE
from status_app.storage.client import CALL_WITHIN

HOST = json.loads((Path(__file__).parents[2] / "host.json").read_text("utf-8"))
HOURS, MINUTES, SECONDS = map(int, HOST["functionTimeout"].split(":"))
KILLED_AFTER = timedelta(hours=HOURS, minutes=MINUTES, seconds=SECONDS)


@pytest.mark.parametrize(
    "ends",
    [
        flag_stuck.RUN_FOR,
        resync.RUN_FOR,
        twin_changes.RUN_FOR + twin_changes.GIVE_UP_FOR,
        index_build.RUN_FOR.total_seconds(),
    ],
    ids=["flag_stuck", "resync", "twin_changes", "index_build"],
)
def test_each_run_ends_before_the_host_kills_it(ends: float) -> None:
    assert timedelta(seconds=ends + CALL_WITHIN) < KILLED_AFTER


def test_another_resync_begins_only_once_the_host_has_killed_the_one_before() -> None:
    assert LEASE >= KILLED_AFTER


def test_an_announcement_ends_only_once_the_host_has_killed_its_writer() -> None:
    assert KILLED_AFTER + timedelta(minutes=5) <= WRITERS_END_AFTER < FORGOTTEN_AFTER
