"""The loop of the gate under the clock of the test: when it reads, what it survives, how it ends."""

import asyncio
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from status_app.commands.exit_codes import ExitCode
from status_app.commands.fleet_status import RefusedError
from status_app.commands.gate.lines import Progress
from status_app.commands.gate.rule import GateCriteria
from status_app.commands.gate.wait import Gate, WaitLimits
from status_app.errors import UnavailableError
from status_core import Threshold

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
DOWN = UnavailableError("the API", "no connection")
REFUSED = RefusedError("the API refuses the key")
MINUTE = timedelta(minutes=1)
LIMITS = WaitLimits(10 * MINUTE, timedelta(seconds=15))


def device(number: int, state: str, *, stuck: bool = False) -> dict[str, Any]:
    since = f"2026-01-05T07:{number:02}:00Z"
    return {
        "deviceId": f"edge-{number}", "state": state, "reason": "its_reason", "message": "Its message.",
        "since": since, "stuckSince": since if stuck else None,
    }  # fmt: skip


def fleet_of(*states: str) -> list[dict[str, Any]]:
    """Devices in these states; `!` behind one means stuck."""
    return [device(number, state.rstrip("!"), stuck=state.endswith("!")) for number, state in enumerate(states)]


class Story:
    """A fleet that goes through steps, one after each sleep of the gate; the last one stays.

    A step is the devices of each deployment, an error, or None: the deployment is not known yet. It is completed once
    all are successful for a minute.
    """

    def __init__(
        self, *steps: Sequence[dict[str, Any]] | Exception | None, deployments: Sequence[str] = ("r2",)
    ) -> None:
        self.steps = list(steps)
        self.deployments = deployments
        self.time = NOW
        self.slept: list[float] = []
        self.out = io.StringIO()
        self.settled_since: datetime | None = None
        self.beside: dict[str, Any] = {"hub": None, "listedAt": None, "milestones": {}, "failureThreshold": None}
        self.device_answer: dict[str, Any] | None = None
        self.gate: Gate | None = None
        self.causes_error: Exception | None = None

    async def wait(
        self, criteria: GateCriteria | None = None, limits: WaitLimits = LIMITS, device: str | None = None
    ) -> ExitCode:
        progress = Progress(self.out, lambda: self.time)
        self.gate = Gate(
            self,
            self.deployments,
            criteria or GateCriteria(),
            progress,
            device=device,
            clock=lambda: self.time,
            sleep=self._sleep,
        )
        return await self.gate.wait(limits)

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds)
        if len(self.steps) > 1:
            self.steps.pop(0)

    def _devices(self) -> Sequence[dict[str, Any]] | None:
        step = self.steps[0]
        if isinstance(step, Exception):
            raise step
        return step

    def now(self) -> datetime:
        return self.time

    async def listed_at(self) -> str | None:
        listed: str | None = self.beside["listedAt"]
        return listed

    async def deployment(self, deployment: str, cohort: str | None = None) -> Mapping[str, Any] | None:
        assert deployment in self.deployments
        devices = self._devices()
        if devices is None:
            return None
        devices = [item for item in devices if cohort is None or item.get("cohort") == cohort]
        states = Counter(item["state"] for item in devices)
        reasons = [{"state": state, "reason": "its_reason", "devices": count} for state, count in states.items()]
        failing = sum(item["stuckSince"] is not None or item["state"] == "invalid" for item in devices)
        successful = states["successful"]
        is_settled = successful == len(devices) > 0
        self.settled_since = (self.settled_since or self.time) if is_settled else None
        is_completed = self.settled_since is not None and self.time - self.settled_since >= MINUTE
        return {
            "devices": len(devices),
            "successful": successful,
            "settling": 0,
            "failing": failing,
            "waiting": 0,
            "states": states,
            "stuck": sum(item["stuckSince"] is not None for item in devices),
            "reasons": reasons,
            "settledSince": None if self.settled_since is None else self.settled_since.isoformat(),
            "creditedAt": NOW.isoformat(),
            "countedAt": self.time.isoformat(),
            **self.beside,
            "milestones": self.beside["milestones"] | ({"completed": "x"} if is_completed else {}),
        }

    async def devices(
        self, deployment: str, *, state: str | None = None, stuck: bool = False, cohort: str | None = None
    ) -> AsyncIterator[Mapping[str, Any]]:
        assert deployment in self.deployments
        for item in self._devices() or []:
            is_asked = state in (None, item["state"]) and cohort in (None, item.get("cohort"))
            if is_asked and (not stuck or item["stuckSince"] is not None):
                yield item

    async def items(self, name: str, words: Mapping[str, str], page: int = 200) -> AsyncIterator[Mapping[str, Any]]:
        """One cause of all devices that fail."""
        assert (name, words["deployment"] in self.deployments, page) == ("causes", True, 21)
        if self.causes_error is not None:
            raise self.causes_error
        devices = [item async for item in self.devices(words["deployment"], cohort=words.get("cohort"))]
        failing = [item for item in devices if item["stuckSince"] is not None or item["state"] == "invalid"]
        if failing:
            yield {
                "cause": "its_reason: vision", "reason": "its_reason", "devices": len(failing),
                "peers": {"says": "It fails on all."}, "advice": "Look at the image.",
            }  # fmt: skip

    async def device(self, device_id: str) -> Mapping[str, Any] | None:
        assert device_id == "edge-0"
        return self.device_answer

    async def transitions(self, device_id: str, limit: int) -> Sequence[Mapping[str, Any]]:
        raise NotImplementedError(device_id, limit)

    async def close(self) -> None:
        pass


GOOD = fleet_of("successful", "successful")


async def test_a_rollout_that_succeeds_passes_once_the_app_has_announced_it() -> None:
    story = Story(None, fleet_of("pending"), fleet_of("successful", "in_progress"), GOOD)
    assert await story.wait() is ExitCode.OK
    assert story.lines == [
        "08:00:00Z  10:00 left  r2: on no device yet",
        "08:00:15Z  9:45 left  r2: 0 of 1 successful, 1 pending",
        "08:00:30Z  9:30 left  r2: 1 of 2 successful, 1 in_progress",
        "08:00:45Z  9:15 left  r2: 2 of 2 successful, stable since 08:00:45Z",
        "PASSED: 2 of 2 devices of r2 are successful, since 2026-01-05 08:00:45Z.",
    ]
    assert story.time == NOW + timedelta(seconds=105)


async def test_devices_that_may_fail_are_named_when_the_gate_passes() -> None:
    story = Story(fleet_of("successful", "invalid", "pending!"))
    assert await story.wait(GateCriteria(max_failed=Threshold.parse("2"))) is ExitCode.OK
    assert story.lines[-5:-2] == [
        "PASSED: 1 of 3 devices of r2 are successful, since 2026-01-05 08:00:00Z.",
        "2 devices failing, 2 allowed:",
        "  2 devices: its_reason: vision. It fails on all. Look at the image.",
    ]
    assert [line.split()[0] for line in story.lines[-2:]] == ["edge-1", "edge-2"]


async def test_the_gate_fails_as_soon_as_too_many_fail_and_names_them_longest_first() -> None:
    story = Story(fleet_of("in_progress", "pending"), fleet_of("successful", "invalid", "in_progress!", "pending"))
    assert await story.wait(GateCriteria(max_failed=Threshold.parse("1"))) is ExitCode.FAILED
    assert story.lines[1:] == [
        "FAILED: 2 of 4 devices of r2 are failing, 1 allowed.",
        "  2 devices: its_reason: vision. It fails on all. Look at the image.",
        "  edge-1  invalid      its_reason  since       2026-01-05 07:01:00Z  Its message.",
        "  edge-2  in_progress  its_reason  stuck since 2026-01-05 07:02:00Z  Its message.",
        "python -m status_app explain edge-1   shows more about a device.",
    ]
    assert story.slept == [15]


async def test_at_the_timeout_the_gate_reads_once_more_and_names_what_is_missing() -> None:
    story = Story(fleet_of("pending", "successful", "module_failed"))
    limits = WaitLimits(timedelta(seconds=40), timedelta(seconds=15))
    assert await story.wait(limits=limits) is ExitCode.TIMED_OUT
    assert story.slept == [15, 15, 10]
    assert story.lines[1:] == [
        "TIMED OUT after PT40S: r2: 1 of 3 successful, 1 pending, 1 module_failed.",
        "  1 device pending: its_reason",
        "  1 device module_failed: its_reason",
        "  edge-0  pending        its_reason  since 2026-01-05 07:00:00Z  Its message.",
        "  edge-2  module_failed  its_reason  since 2026-01-05 07:02:00Z  Its message.",
    ]


async def test_causes_that_cannot_be_asked_for_do_not_change_the_outcome() -> None:
    story = Story(fleet_of("successful", "invalid"))
    story.causes_error = DOWN
    assert await story.wait() is ExitCode.FAILED
    assert story.lines[:2] == [
        "The causes cannot be read: the API is unavailable: no connection.",
        "FAILED: 1 of 2 devices of r2 are failing, 0 allowed.",
    ]
    assert [line.split()[0] for line in story.lines if line.startswith("  edge-")] == ["edge-1"]


async def test_too_many_that_fail_are_not_called_missing_time_while_the_list_is_an_old_one() -> None:
    story = Story(fleet_of("successful", "invalid"))
    story.beside |= {"hub": {"targeted": 2}, "listedAt": (NOW - MINUTE).isoformat()}
    assert await story.wait() is ExitCode.TIMED_OUT
    assert not any("was missing" in line for line in story.lines)
    assert "  1 device: its_reason: vision. It fails on all. Look at the image." in story.lines


async def test_a_deployment_that_is_never_applied_ends_at_the_timeout() -> None:
    story = Story(None)
    assert await story.wait() is ExitCode.TIMED_OUT
    assert "Check the name of the deployment" in story.lines[-1]
    heartbeats = [line for line in story.lines if line.endswith("on no device yet")]
    assert len(heartbeats) == 11  # one a minute, the first and the last included


async def test_a_deployment_that_the_hub_does_not_have_is_named_by_its_next_list() -> None:
    story = Story(None)
    story.beside["listedAt"] = (NOW + timedelta(seconds=20)).isoformat()
    assert await story.wait() is ExitCode.UNKNOWN
    assert story.lines[-1] == "UNKNOWN: the hub has no deployment r2: check its name."


async def test_a_deployment_that_is_on_no_device_any_more_ends_the_wait_at_once() -> None:
    story = Story([])
    story.beside["milestones"] = {"started": "x", "superseded": "x"}
    assert await story.wait() is ExitCode.FAILED
    assert (story.slept, story.lines) == ([], ["FAILED: r2 is on no device any more: it is superseded."])


async def test_a_list_from_before_the_first_question_is_waited_out() -> None:
    story = Story(GOOD)
    story.settled_since = NOW - MINUTE
    story.beside |= {"hub": {"targeted": 2}, "listedAt": (NOW - MINUTE).isoformat()}
    assert await story.wait() is ExitCode.TIMED_OUT
    assert "the hub's list is from before the first question" in story.lines[0]
    assert story.lines[-1] == "Only a newer list from the hub was missing."


CANARY = "ring=canary"


def with_canaries(canaries: int, *states: str) -> list[dict[str, Any]]:
    """Devices in these states, of which the first are canaries."""
    return [item | {"cohort": CANARY if item["deviceId"] < f"edge-{canaries}" else "x=y"} for item in fleet_of(*states)]


async def test_for_a_cohort_only_its_devices_decide() -> None:
    story = Story(
        with_canaries(2, "successful", "pending", "invalid", "pending!"),
        with_canaries(2, "successful", "successful", "invalid", "pending!"),
    )
    assert await story.wait(GateCriteria(cohort=CANARY)) is ExitCode.OK
    assert story.lines[0] == "08:00:00Z  10:00 left  r2 in ring=canary: 1 of 2 successful, 1 pending"
    assert story.lines[-1] == "PASSED: 2 of 2 devices of r2 in ring=canary are successful, since 2026-01-05 08:00:15Z."
    assert story.gate is not None
    result = json.loads(story.gate.result(ExitCode.OK))
    assert (result["cohort"], result["deployments"]["r2"]["devices"]) == (CANARY, 2)


async def test_for_a_cohort_a_percentage_is_of_its_devices_and_only_they_are_named() -> None:
    states = ("successful", "invalid", "invalid", *["successful"] * 7)
    story = Story(with_canaries(2, *states))
    story.beside |= {"hub": {"targeted": 10}, "listedAt": (NOW + timedelta(seconds=2)).isoformat()}
    assert await story.wait(GateCriteria(cohort=CANARY, max_failed=Threshold.parse("20%"))) is ExitCode.FAILED
    assert [line for line in story.lines if "edge-" in line] == [
        "  edge-1  invalid  its_reason  since 2026-01-05 07:01:00Z  Its message.",
        "python -m status_app explain edge-1   shows more about a device.",
    ]
    story.out.truncate(0)
    assert await story.wait(GateCriteria(max_failed=Threshold.parse("20%"), cohort="x=y")) is ExitCode.OK


async def test_for_a_cohort_the_timeout_names_only_its_devices() -> None:
    story = Story(with_canaries(1, "pending", "pending", "successful"))
    limits = WaitLimits(timedelta(seconds=5), timedelta(seconds=5))
    assert await story.wait(GateCriteria(cohort=CANARY), limits) is ExitCode.TIMED_OUT
    assert [line.split()[0] for line in story.lines if line.startswith("  edge-")] == ["edge-0"]
    assert await Story(with_canaries(0, "successful")).wait(GateCriteria(cohort=CANARY)) is ExitCode.TIMED_OUT


async def test_it_passes_once_everything_stayed_successful_for_the_soak() -> None:
    story = Story(fleet_of("pending"), GOOD)
    assert await story.wait(GateCriteria(soak=5 * MINUTE)) is ExitCode.OK
    assert story.time == NOW + timedelta(seconds=15) + 5 * MINUTE


async def test_all_of_several_deployments_must_succeed() -> None:
    story = Story(fleet_of("pending"), GOOD, deployments=["r2", "r3", "r2"])
    assert await story.wait() is ExitCode.OK
    assert story.lines[0] == (
        "08:00:00Z  10:00 left  r2: 0 of 1 successful, 1 pending | r3: 0 of 1 successful, 1 pending"
    )
    assert [line.partition(" are")[0] for line in story.lines[-2:]] == [
        "PASSED: 2 of 2 devices of r2",
        "PASSED: 2 of 2 devices of r3",
    ]
    assert await Story(fleet_of("invalid"), deployments=["r2", "r3"]).wait() is ExitCode.FAILED


def answered(**standings: str) -> dict[str, Any]:
    return {**device(0, "successful"), "standings": standings, "at": NOW.isoformat()}


@pytest.mark.parametrize(
    ("standings", "deployments", "code"),
    [
        ({"r2": "successful", "base": "successful"}, [], ExitCode.OK),
        ({"r2": "successful", "base": "settling"}, [], ExitCode.TIMED_OUT),
        ({"r2": "successful", "base": "settling"}, ["r2"], ExitCode.OK),
        ({"r2": "waiting"}, ["r2"], ExitCode.TIMED_OUT),
        ({"r2": "failing"}, ["r2"], ExitCode.FAILED),
        ({"base": "successful"}, ["r2"], ExitCode.TIMED_OUT),
        ({}, [], ExitCode.TIMED_OUT),
    ],
)
async def test_one_device_passes_when_it_has_the_version_and_its_clocks_have_ended(
    standings: dict[str, str], deployments: list[str], code: ExitCode
) -> None:
    story = Story(deployments=deployments)
    story.device_answer = answered(**standings)
    assert await story.wait(device="edge-0") is code


async def test_a_device_that_is_not_known_is_named() -> None:
    assert await Story(deployments=[]).wait(device="edge-0") is ExitCode.UNKNOWN


async def test_the_result_is_one_json_object() -> None:
    story = Story(fleet_of("successful", "invalid"))
    code = await story.wait()
    assert story.gate is not None
    result = json.loads(story.gate.result(code))
    assert (result["outcome"], result["exitCode"]) == ("failed", 1)
    assert result["deployments"]["r2"]["failing"] == 1
    assert [item["deviceId"] for item in result["deployments"]["r2"]["failed"]] == ["edge-1"]


async def test_with_a_timeout_of_zero_the_gate_reads_once() -> None:
    limits = WaitLimits(timedelta(0), timedelta(seconds=15))
    assert await Story(fleet_of("pending")).wait(limits=limits) is ExitCode.TIMED_OUT
    story = Story(GOOD)
    assert await story.wait(GateCriteria(stable_after=timedelta(0)), limits) is ExitCode.OK
    assert story.slept == []


async def test_an_outage_is_reported_and_waited_out() -> None:
    story = Story(DOWN, DOWN, fleet_of("pending"), DOWN, REFUSED, GOOD)
    assert await story.wait() is ExitCode.OK
    assert story.lines[:6] == [
        "08:00:00Z  10:00 left  r2: the API is unavailable: no connection; will retry",
        "Reading works again.",
        "08:00:30Z  9:30 left  r2: 0 of 1 successful, 1 pending",
        "08:00:45Z  9:15 left  r2: the API is unavailable: no connection; will retry",
        "08:01:00Z  9:00 left  r2: the API refuses the key; will retry",
        "Reading works again.",
    ]


async def test_after_an_outage_the_soak_begins_again() -> None:
    failing = fleet_of("successful", "invalid")
    story = Story(failing, failing, DOWN, failing)
    criteria = GateCriteria(max_failed=Threshold.parse("1"), soak=MINUTE)
    assert await story.wait(criteria) is ExitCode.OK
    assert story.time == NOW + timedelta(seconds=45 + 60)


async def test_without_any_answer_the_end_is_not_a_timeout() -> None:
    story = Story(DOWN)
    assert await story.wait() is ExitCode.UNAVAILABLE
    assert story.lines[-1] == "NO ANSWER the whole time: the API is unavailable: no connection."


async def test_an_outage_at_the_end_is_a_timeout_with_the_last_known_state() -> None:
    story = Story(fleet_of("pending"), DOWN)
    assert await story.wait() is ExitCode.TIMED_OUT
    assert story.lines[-1] == "That is the last known state; after it: the API is unavailable: no connection."
    assert story.lines[-3].startswith("TIMED OUT after PT10M: r2: 0 of 1 successful, 1 pending")


@pytest.mark.parametrize("before", [[], [DOWN]])
async def test_a_refusal_before_any_answer_is_not_waited_out(before: list[Exception]) -> None:
    with pytest.raises(RefusedError):
        await Story(*before, REFUSED).wait()


@pytest.mark.parametrize(
    ("error", "message"), [(DOWN, "the API is unavailable: no connection"), (TimeoutError(), "no answer in time")]
)
async def test_devices_that_cannot_be_named_at_the_end_do_not_change_the_outcome(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def missing(*_asked: object) -> None:
        raise error

    monkeypatch.setattr("status_app.commands.gate.wait.missing", missing)
    story = Story(fleet_of("pending"))
    assert await story.wait() is ExitCode.TIMED_OUT
    assert story.lines[-1] == f"The devices cannot be named: {message}."


async def test_a_read_that_takes_too_long_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("status_app.commands.gate.wait.READ_TIMEOUT", 0)
    story = Story(GOOD)
    monkeypatch.setattr(story, "deployment", _never)
    assert await story.wait() is ExitCode.UNAVAILABLE
    assert "no answer within 0 seconds" in story.lines[-1]


async def _never(*_asked: str) -> None:
    await asyncio.Event().wait()
