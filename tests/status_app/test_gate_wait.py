"""The loop of the gate, under a clock that the test holds: when it looks, what it survives, how it ends."""

import asyncio
import io
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
    """Devices in these states; `!` behind one says that it is stuck."""
    return [device(number, state.rstrip("!"), stuck=state.endswith("!")) for number, state in enumerate(states)]


class Story:
    """A fleet that goes through steps, one each time when the gate has slept; the last one stays.

    A step is the devices of the deployment, an error, or None: the deployment is not known yet.
    """

    def __init__(self, *steps: Sequence[dict[str, Any]] | Exception | None) -> None:
        self.steps = list(steps)
        self.now = NOW
        self.slept: list[float] = []
        self.out = io.StringIO()

    async def wait(self, criteria: GateCriteria | None = None, limits: WaitLimits = LIMITS) -> ExitCode:
        progress = Progress(self.out, lambda: self.now)
        gate = Gate(self, "r2", criteria or GateCriteria(), progress, clock=lambda: self.now, sleep=self._sleep)
        return await gate.wait(limits)

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)
        if len(self.steps) > 1:
            self.steps.pop(0)

    def _devices(self) -> Sequence[dict[str, Any]] | None:
        step = self.steps[0]
        if isinstance(step, Exception):
            raise step
        return step

    async def deployment(self, deployment: str) -> Mapping[str, Any] | None:
        assert deployment == "r2"
        devices = self._devices()
        if devices is None:
            return None
        states = Counter(item["state"] for item in devices)
        reasons = [{"state": state, "reason": "its_reason", "devices": count} for state, count in states.items()]
        stuck = sum(item["stuckSince"] is not None for item in devices)
        return {"devices": len(devices), "states": states, "stuck": stuck, "reasons": reasons}

    async def devices(
        self, deployment: str, *, state: str | None = None, stuck: bool = False
    ) -> AsyncIterator[Mapping[str, Any]]:
        assert deployment == "r2"
        for item in self._devices() or []:
            if state in (None, item["state"]) and (not stuck or item["stuckSince"] is not None):
                yield item

    async def device(self, device_id: str) -> Mapping[str, Any] | None:
        raise NotImplementedError(device_id)

    async def transitions(self, device_id: str, limit: int) -> Sequence[Mapping[str, Any]]:
        raise NotImplementedError(device_id, limit)

    async def close(self) -> None:
        pass


GOOD = fleet_of("successful", "successful")


async def test_a_rollout_that_comes_through_passes_at_the_end_of_the_stability_window() -> None:
    story = Story(None, fleet_of("pending"), fleet_of("successful", "in_progress"), GOOD)
    assert await story.wait() is ExitCode.OK
    assert story.lines == [
        "08:00:00Z  r2: credited on no device yet",
        "08:00:15Z  r2: 0 of 1 devices successful, 1 pending",
        "08:00:30Z  r2: 1 of 2 devices successful, 1 in_progress",
        "08:00:45Z  r2: 2 of 2 devices successful, stable since 08:00:45Z",
        "PASSED: 2 of 2 devices of r2 are successful, for PT1M.",
    ]
    assert story.now == NOW + timedelta(seconds=105)


async def test_what_failed_and_may_is_named_when_the_gate_passes() -> None:
    story = Story(fleet_of("successful", "invalid", "pending!"))
    assert await story.wait(GateCriteria(max_failed=2)) is ExitCode.OK
    assert story.lines[-4:-2] == [
        "PASSED: 1 of 3 devices of r2 are successful, for PT1M.",
        "2 devices failed or stuck; 2 may:",
    ]
    assert [line.split()[0] for line in story.lines[-2:]] == ["edge-1", "edge-2"]


async def test_the_gate_fails_as_soon_as_too_many_failed_and_names_them_longest_first() -> None:
    story = Story(fleet_of("in_progress", "pending"), fleet_of("successful", "invalid", "in_progress!", "pending"))
    assert await story.wait(GateCriteria(max_failed=1)) is ExitCode.FAILED
    assert story.lines[1:] == [
        "FAILED: 2 of 4 devices of r2 failed or are stuck; 1 may.",
        "  edge-1  invalid      its_reason  since       2026-01-05 07:01:00Z  Its message.",
        "  edge-2  in_progress  its_reason  stuck since 2026-01-05 07:02:00Z  Its message.",
        "python -m status_app explain edge-1   says more of a device.",
    ]
    assert story.slept == [15]


async def test_at_the_timeout_a_last_look_is_taken_and_what_is_missing_is_named() -> None:
    story = Story(fleet_of("pending", "successful", "module_failed"))
    limits = WaitLimits(timedelta(seconds=40), timedelta(seconds=15))
    assert await story.wait(limits=limits) is ExitCode.TIMED_OUT
    assert story.slept == [15, 15, 10]
    assert story.lines[1:] == [
        "TIMED OUT after PT40S: r2: 1 of 3 devices successful, 1 pending, 1 module_failed.",
        "  1 device pending: its_reason",
        "  1 device module_failed: its_reason",
        "  edge-0  pending        its_reason  since 2026-01-05 07:00:00Z  Its message.",
        "  edge-2  module_failed  its_reason  since 2026-01-05 07:02:00Z  Its message.",
    ]


async def test_a_deployment_that_is_never_credited_ends_at_the_timeout() -> None:
    story = Story(None)
    assert await story.wait() is ExitCode.TIMED_OUT
    assert "Check the name of the deployment" in story.lines[-1]
    heartbeats = [line for line in story.lines if line.endswith("credited on no device yet")]
    assert len(heartbeats) == 11  # one a minute, the first and the last included


async def test_a_timeout_of_nothing_is_one_look() -> None:
    limits = WaitLimits(timedelta(0), timedelta(seconds=15))
    assert await Story(fleet_of("pending")).wait(limits=limits) is ExitCode.TIMED_OUT
    story = Story(GOOD)
    assert await story.wait(GateCriteria(stable_after=timedelta(0)), limits) is ExitCode.OK
    assert story.slept == []


async def test_an_outage_is_told_and_waited_out() -> None:
    story = Story(DOWN, DOWN, fleet_of("pending"), DOWN, REFUSED, GOOD)
    assert await story.wait() is ExitCode.OK
    assert story.lines[:6] == [
        "08:00:00Z  r2: the API is unavailable: no connection; it is asked again",
        "There are answers again.",
        "08:00:30Z  r2: 0 of 1 devices successful, 1 pending",
        "08:00:45Z  r2: the API is unavailable: no connection; it is asked again",
        "08:01:00Z  r2: the API refuses the key; it is asked again",
        "There are answers again.",
    ]


async def test_the_stability_window_begins_anew_after_what_was_not_seen() -> None:
    story = Story(GOOD, GOOD, GOOD, DOWN, GOOD)
    assert await story.wait() is ExitCode.OK
    assert story.now == NOW + timedelta(seconds=60 + 60)


async def test_no_answer_all_the_time_is_not_a_timeout() -> None:
    story = Story(DOWN)
    assert await story.wait() is ExitCode.UNAVAILABLE
    assert story.lines[-1] == "NO ANSWER, all the time: the API is unavailable: no connection."


async def test_an_outage_at_the_end_is_a_timeout_with_what_was_seen_last() -> None:
    story = Story(fleet_of("pending"), DOWN)
    assert await story.wait() is ExitCode.TIMED_OUT
    assert story.lines[-1] == "That is as it was last seen; then: the API is unavailable: no connection."
    assert story.lines[-3].startswith("TIMED OUT after PT10M: r2: 0 of 1 devices successful, 1 pending")


@pytest.mark.parametrize("before", [[], [DOWN]])
async def test_a_refusal_before_any_answer_is_not_waited_out(before: list[Exception]) -> None:
    with pytest.raises(RefusedError):
        await Story(*before, REFUSED).wait()


@pytest.mark.parametrize(
    ("error", "told"), [(DOWN, "the API is unavailable: no connection"), (TimeoutError(), "no answer in time")]
)
async def test_devices_that_cannot_be_named_at_the_end_do_not_change_the_outcome(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def missing(*_asked: object) -> None:
        raise error

    monkeypatch.setattr("status_app.commands.gate.wait.missing", missing)
    story = Story(fleet_of("pending"))
    assert await story.wait() is ExitCode.TIMED_OUT
    assert story.lines[-1] == f"The devices cannot be named: {told}."


async def test_a_look_that_takes_too_long_is_one_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("status_app.commands.gate.wait.LOOK_SECONDS", 0)
    story = Story(GOOD)
    monkeypatch.setattr(story, "deployment", _never)
    assert await story.wait() is ExitCode.UNAVAILABLE
    assert "no answer within 0 seconds" in story.lines[-1]


async def _never(_deployment: str) -> None:
    await asyncio.Event().wait()
