"""Rows of transitions of every kind: the golden twins, led through a device's life by the core."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from status_app.status_table.rows import transition_row
from status_app.storage.columns import Row
from status_core import (
    DeploymentStatus,
    DeviceRecord,
    GracePolicy,
    Transition,
    advance,
    deletion,
    evaluate,
    flag_unverified,
)

HUB: Final = "hub1"
START: Final = datetime(2024, 5, 2, 9, 10, 0, 123456, UTC)
"""Soon after the times of the golden twins."""
POLICY: Final = GracePolicy()
TWINS: Final[dict[str, Any]] = {
    path.stem: json.loads(path.read_bytes())["twin"]
    for path in sorted((Path(__file__).parents[1] / "cases").glob("*.json"))
}
HEALTHY: Final = evaluate(TWINS["003_seed_successful"])


def rows_of_every_kind() -> dict[str, list[Row]]:
    """By device id, the transitions of one life for each golden twin, oldest first."""
    rows = {}
    for number, name in enumerate(TWINS):
        device_id = f"device-{name}"
        life = _life(evaluate(TWINS[name]), is_hub_down=bool(number % 2))
        rows[device_id] = [transition_row(HUB, device_id, transition, transition.at) for transition in life]
    return rows


def rows_of_one_device(device_id: str, count: int) -> list[Row]:
    """Transitions of a device that fails and is well again in turn, each time for longer than any window."""
    statuses = [HEALTHY, evaluate(TWINS["048_200_module_backoff"])]
    record: DeviceRecord | None = None
    rows: list[Row] = []
    now = START
    while len(rows) < count:
        record, transitions = advance(record, replace(statuses[0], changed=now), now, POLICY)
        rows += [transition_row(HUB, device_id, transition, now, ("ring=canary",)) for transition in transitions]
        statuses.reverse()
        now += timedelta(hours=3)
    return rows[:count]


def _life(status: DeploymentStatus, *, is_hub_down: bool) -> Iterator[Transition]:
    """It comes as the twin says, gets stuck, is well for days, comes back to what it was, and is deleted."""
    days = [START + timedelta(days=day) for day in range(6)]
    record, transitions = advance(None, status, days[0], POLICY)
    yield from transitions
    if is_hub_down:
        record, transitions = flag_unverified(record, days[1])
    else:
        record, transitions = advance(record, status, days[1], POLICY)
    yield from transitions
    for seen, changed, now in ((HEALTHY, days[2], days[2]), (HEALTHY, days[2], days[3]), (status, days[4], days[4])):
        record, transitions = advance(record, replace(seen, changed=changed), now, POLICY)
        yield from transitions
    yield deletion(record, days[5])
