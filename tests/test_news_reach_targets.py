"""News through the whole app: from twins of a hub to people and to a program, over a real HTTPS target."""

import asyncio
import copy
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.replay import replay
from local.scenario import read_scenario
from local.stack import Stack, running_stack

ROOT = Path(__file__).parent
TWIN = json.loads((ROOT / "cases/048_200_module_backoff.json").read_text())["twin"]
START = datetime(2024, 5, 2, 9, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TARGETS = [
    {"name": "people", "format": "slack", "urlSetting": "NOTIFY_URL", "types": ["edge.deployment.cause"]},
    {
        "name": "program",
        "format": "cloudevents",
        "urlSetting": "NOTIFY_URL",
        "types": ["edge.deployment.module.stuck"],
    },
]


class Story:
    """Devices of a running app, and its timer."""

    def __init__(self) -> None:
        self.now = START
        self.stack: Stack | None = None
        self._twins: dict[str, Any] = {}

    async def report(self, device: str, status: str) -> None:
        """A device reports its module m1."""
        assert self.stack is not None
        twin = copy.deepcopy(self._twins.get(device, TWIN | {"deviceId": device}))
        reported = twin["properties"]["reported"]
        twin["version"] = twin.get("version", 1) + 1
        reported["$version"] = reported.get("$version", 1) + 1
        reported["$metadata"]["$lastUpdated"] = self.now.isoformat()
        reported["modules"]["m1"]["runtimeStatus"] = status
        self._twins[device] = twin
        self.stack.iot_hub.registry.put(twin)

    async def minute(self, after: timedelta = MINUTE) -> None:
        """Let the app follow, and fire the timer after a while."""
        assert self.stack is not None
        await self.stack.drained()
        self.now += after
        outcome = await self.stack.host.run_timer("flag_stuck")
        assert outcome.ok, outcome
        await self.stack.drained()


async def test_forty_devices_that_fail_for_one_reason_are_three_messages_to_people_and_forty_to_a_program(
    accounts: Iterator[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.stack.PEOPLE", json.dumps(TARGETS))
    story = Story()
    devices = [f"edge-{number:02d}" for number in range(40)]
    async with running_stack(tmp_path, next(accounts), lambda: story.now, notifies=True) as stack:
        story.stack = stack
        for some in (devices[:4], devices[4:]):
            for device in some:
                await story.report(device, "backoff")
            await story.minute(15 * MINUTE)
            await story.minute()
        for device in devices:
            await story.report(device, "running")
        await story.minute(10 * MINUTE)
        for _ in range(3):
            await story.minute()
        assert stack.board is not None
        posted = [notice.body for notice in stack.board.posted]
        ids = [notice.id for notice in stack.board.posted]
    people = [body["text"].splitlines()[0].partition(" due to ")[0] for body in posted if "text" in body]
    name = people[0].partition(":")[0]
    assert people == [f"{name}: 4 devices fail", f"{name}: now 40 devices fail", f"{name}: no device fails any more"]
    program = Counter(body["data"]["deviceId"] for body in posted if "specversion" in body)
    assert program == Counter(devices)
    assert len(set(ids)) == len(ids) == 43


def test_a_target_that_is_down_for_an_hour_costs_people_nothing_but_time(accounts: Iterator[str]) -> None:
    lines = (ROOT / "scenarios/deployment.jsonl").read_text().splitlines()
    first, last = json.loads(lines[0])["at"], datetime.fromisoformat(json.loads(lines[-1])["at"])
    usual = asyncio.run(replay(read_scenario("\n".join(lines)), next(accounts)))["notices"]
    assert [notice["body"]["text"].splitlines()[0].partition(" due to ")[0] for notice in usual] == [
        "Deployment camera-2 has started",
        "Deployment camera-2: the first device has failed",
        "Deployment camera-2: 1 device fails",
        "Deployment camera-2 makes no progress",
        "Deployment camera-2 has completed",
        "Deployment camera-2: no device fails any more",
    ]
    down = json.dumps({"at": first, "fault": {"service": "notify", "op": "send", "status": 503, "count": 12}})
    minutes = [
        json.dumps({"at": (last + number * 15 * MINUTE).isoformat(), "run": "flag_stuck"}) for number in range(1, 9)
    ]
    late = asyncio.run(replay(read_scenario("\n".join([down, *lines, *minutes])), next(accounts)))["notices"]
    assert {(notice["id"], notice["body"]["text"]) for notice in late} == {
        (notice["id"], notice["body"]["text"]) for notice in usual
    }
    assert len(late) == len(usual)
    assert min(notice["at"] for notice in late) > usual[0]["at"]
