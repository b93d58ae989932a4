"""Clocks and grace: when something counts as stuck, and when as recovered."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from status_core import DeviceRecord, GracePolicy, Kind, Transition, advance, evaluate
from status_core.durations import format_duration, parse_duration
from status_core.grace import grace_label

T0 = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = "r/x:1", "r/x:2"


class Device:
    """A device with the modules m1 and m2, looked at again and again."""

    def __init__(self, policy: GracePolicy | None = None) -> None:
        self.record: DeviceRecord | None = None
        self.history: list[Transition] = []
        self.policy = policy or GracePolicy()
        self.desired = {"m1": OLD, "m2": OLD}
        self.version, self.taken, self.code = 1, 1, 200
        self.status = {"m1": "running", "m2": "running"}
        self.options = ""

    def look(self, seconds: float, **status: str) -> None:
        """Look at the device `seconds` after the start, with new runtime statuses."""
        now = T0 + timedelta(seconds=seconds)
        self.status |= status
        stamp = {"$lastUpdated": now.isoformat()}
        desired = {
            name: {"settings": {"image": image, "createOptions": self.options}, "status": "running"}
            for name, image in self.desired.items()
        }
        reported: dict[str, Any] = {
            name: {"settings": {"image": self.desired.get(name, OLD)}, "runtimeStatus": word}
            for name, word in self.status.items()
        }
        agent = {"edgeAgent": {"settings": {"image": "a:1"}, "runtimeStatus": "running"}}
        twin = {
            "properties": {
                "desired": {"$version": self.version, "modules": desired, "systemModules": agent, "$metadata": stamp},
                "reported": {
                    "lastDesiredVersion": self.taken,
                    "lastDesiredStatus": {"code": self.code},
                    "modules": reported,
                    "systemModules": agent,
                    "$metadata": stamp,
                },
            }
        }
        self.record, transitions = advance(self.record, evaluate(twin), now, self.policy)
        self.history += transitions

    def turns(self) -> list[tuple[Kind, str]]:
        """Each time something became stuck or recovered."""
        kinds = (Kind.STUCK, Kind.RECOVERED)
        return [(item.change.kind, item.change.module) for item in self.history if item.change.kind in kinds]

    def unsettled_since(self, module: str) -> datetime | None:
        assert self.record is not None
        return self.record.modules[module].clock.unsettled_since


def test_a_crash_loop_keeps_its_clock_and_is_flagged_once() -> None:
    device = Device()
    device.look(0)
    for minute in range(1, 30):
        device.look(60 * minute, m1="backoff")
        device.look(60 * minute + 50, m1="running")
    assert device.unsettled_since("m1") == T0 + timedelta(seconds=60)
    assert device.turns() == [(Kind.STUCK, "m1")]
    assert device.record is not None
    assert device.record.modules["m1"].clock.stuck_since == T0 + timedelta(seconds=60, minutes=15)


def test_recovery_clears_the_flag_once_after_the_stability_window() -> None:
    device = Device()
    device.look(0, m1="backoff")
    device.look(1000)
    device.look(1100, m1="running")
    device.look(1159)
    assert device.turns() == [(Kind.STUCK, "m1")]
    device.look(1160)
    device.look(5000)
    assert device.turns() == [(Kind.STUCK, "m1"), (Kind.RECOVERED, "m1")]
    assert device.unsettled_since("m1") is None


def test_a_flapping_reason_moves_nothing() -> None:
    device = Device()
    device.look(0, m1="backoff")
    before = len(device.history)
    for second in range(10, 800, 10):
        device.look(second, m1=("dead", "backoff", "unhealthy")[second % 3])
    assert len(device.history) == before
    assert device.unsettled_since("m1") == T0


def test_a_new_version_restarts_the_device_and_the_touched_modules_alone() -> None:
    device = Device()
    device.look(0, m1="backoff", m2="backoff")
    device.version, device.desired["m2"] = 2, NEW
    device.look(100)
    assert device.record is not None
    assert device.record.clock.unsettled_since == T0 + timedelta(seconds=100)
    assert device.unsettled_since("m1") == T0
    assert device.unsettled_since("m2") == T0 + timedelta(seconds=100)


def test_a_device_that_is_off_gets_one_flag_on_itself_and_none_on_its_modules() -> None:
    device = Device()
    device.look(0)
    device.version, device.desired["m1"] = 2, NEW
    for second in range(100, 10_000, 500):
        device.look(second)
    assert device.turns() == [(Kind.STUCK, "")]


def test_a_module_that_stays_though_it_was_removed_gets_a_flag_unless_nothing_is_deployed() -> None:
    device = Device()
    device.look(0)
    device.status["gone"] = "running"
    device.look(10)
    device.look(2000)
    assert device.turns() == [(Kind.STUCK, "gone")]
    twin = {"properties": {"reported": {"modules": {"old": {"runtimeStatus": "running"}}}}}
    record, _ = advance(None, evaluate(twin), T0, GracePolicy())
    assert record.modules["old"].clock.unsettled_since is None


def test_a_modules_own_label_wins() -> None:
    device = Device()
    device.options = '{"Labels": {"deployment-status.grace": "PT1H"}}'
    device.look(0, m1="backoff")
    device.look(3599)
    assert device.turns() == []
    device.look(3600)
    assert device.turns() == [(Kind.STUCK, "m1")]


def test_the_next_look_is_due_at_the_deadline_or_at_the_end_of_the_window() -> None:
    device = Device()
    window = device.policy.stable_after
    device.look(0, m1="backoff")
    assert device.record is not None
    assert device.record.due(window) == T0 + timedelta(minutes=15)
    device.look(100, m1="running")
    assert device.record.due(window) == T0 + timedelta(seconds=160)
    device.look(200)
    assert device.record.due(window) is None
    device.look(300, m1="backoff")
    device.look(2000)
    assert device.record.due(window) is None
    device.look(2100, m1="running")
    assert device.record.due(window) == T0 + timedelta(seconds=2160)


def test_grace_comes_from_the_label_then_the_name_then_the_longest_prefix_then_the_default() -> None:
    hour, minute = timedelta(hours=1), timedelta(minutes=1)
    policy = GracePolicy(periods={"camera": hour, "r/": minute, "r/big/": 2 * hour})
    assert policy.grace("camera", "r/big/x", minute) == minute
    assert policy.grace("camera", "r/big/x", None) == hour
    assert policy.grace("m", "r/big/x", None) == 2 * hour
    assert policy.grace("m", "r/x", None) == minute
    assert policy.grace("m", None, None) == policy.default


@pytest.mark.parametrize(
    ("settings", "grace"),
    [
        ({"createOptions": '{"Labels": {"deployment-status.grace": "PT2H"}}'}, timedelta(hours=2)),
        ({"createOptions": '{"Labels": {"deployment-sta', "createOptions01": 'tus.grace": "P1D"}}'}, timedelta(days=1)),
        ({"createOptions": '{"Labels": {"deployment-status.grace": "soon"}}'}, None),
        ({"createOptions": '{"Labels": {"deployment-status.grace": 5}}'}, None),
        ({"createOptions": '{"deployment-status.grace'}, None),
        ({"createOptions": 5}, None),
    ],
)
def test_a_label_is_read_from_create_options(settings: dict[str, Any], grace: timedelta | None) -> None:
    assert grace_label(settings) == grace


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("PT15M", timedelta(minutes=15)),
        ("P1DT12H", timedelta(hours=36)),
        ("pt90s", timedelta(seconds=90)),
        ("P2W", timedelta(weeks=2)),
        ("PT0.5S", timedelta(seconds=0.5)),
    ],
)
def test_a_duration_is_read_and_written(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "15M", "P1Y", "PT-5M", "P9999W", "PT1M5"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no ISO|is longer"):
        parse_duration(text)
