"""Rows of transitions of every kind: the golden twins, led through a device's life by the core."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from status_app.status_table.rows import transition_row
from status_app.storage.columns import Row
from status_core import DeploymentStatus, DeviceRecord, GracePolicy, Transition, advance, deletion, evaluate, flag

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
    """Transitions of a device whose state changes again and again."""
    statuses = [HEALTHY, evaluate(TWINS["048_200_module_backoff"])]
    record: DeviceRecord | None = None
    rows: list[Row] = []
    while len(rows) < count:
        now = START + timedelta(minutes=len(rows))
        record, transitions = advance(record, statuses[0], now, POLICY)
        rows += [transition_row(HUB, device_id, transition, now) for transition in transitions]
        statuses.reverse()
    return rows[:count]


def _life(status: DeploymentStatus, *, is_hub_down: bool) -> Iterator[Transition]:
    """It comes as the twin says, gets stuck, is well for days, comes back to what it was, and is deleted."""
    days = [START + timedelta(days=day) for day in range(6)]
    record, transitions = advance(None, status, days[0], POLICY)
    yield from transitions
    record, transitions = flag(record, None if is_hub_down else status, days[1], POLICY.stable_after)
    yield from transitions
    record, transitions = advance(record, HEALTHY, days[2], POLICY)
    yield from transitions
    record, transitions = flag(record, HEALTHY, days[3], POLICY.stable_after)
    yield from transitions
    record, transitions = advance(record, status, days[4], POLICY)
    yield from transitions
    yield deletion(record, days[5])
