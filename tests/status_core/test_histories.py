"""Random lives of a device: what is announced follows from what changed, and not from who looks when."""

from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from device import COUNT, RUNS, SECOND, T0, Device, after, taken
from history import History, facts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twins import AGENT, ASKED, GONE, MODULE, STATUS, judged

from status_core import GracePolicy, advance

BOUNDED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

IMAGES: Final = ("registry.example/m1:1.0", "registry.example/m1:2.0")
WORDS: Final = (
    "",
    "Error calling List modules: runtime operation error: list modules",
    'Error calling prepare update for module m1: registry operation error: pull image "x"',
    "Error calling Create module m1: x caused by: pull access denied for r/x, repository does not exist",
    "Error calling Create module m2: x caused by: no space left on device",
    "Failed to execute ExecutionPrerequisite command",
    "Error calling stop module old: No such container: old",
)


def code(number: int, words: str = "") -> dict[str, Any]:
    return {f"{STATUS}.code": number, f"{STATUS}.description": words}


changes = st.one_of(
    st.builds(lambda word: {RUNS: word}, st.sampled_from(["running", "backoff", "failed", "stopped", "unknown"])),
    st.builds(lambda count: {RUNS: "running", COUNT: count}, st.integers(0, 3)),
    st.builds(lambda count: {RUNS: "failed", COUNT: count}, st.sampled_from([-1, 0, 20, 10**12, "many", None])),
    st.builds(lambda image: {f"{MODULE}.settings.image": image}, st.sampled_from(IMAGES)),
    st.builds(lambda words: code(500, words), st.sampled_from(WORDS)),
    st.builds(code, st.sampled_from([200, 400, 406, 412, 417, 418])),
    st.builds(taken, st.integers(11, 14)),
    st.builds(
        lambda version, image, status: {
            "desired.$version": version,
            f"{ASKED}.settings.image": image,
            f"{ASKED}.status": status,
        },
        st.integers(12, 14),
        st.sampled_from(IMAGES),
        st.sampled_from(["running", "stopped"]),
    ),
    st.sampled_from(
        [
            {"desired.modules.m2": SECOND},
            {"desired.modules.m2": SECOND, "reported.modules.m2": {**SECOND, "runtimeStatus": "running"}},
            {"desired.modules.m2": GONE},
            {"reported.modules.m2": GONE},
            {"reported.modules.old": {"runtimeStatus": "running"}},
            {"reported.modules.old": GONE},
            {f"{AGENT}.settings.image": "registry.example/agent:1.4"},
            {f"{AGENT}.settings.image": "registry.example/agent:1.5"},
            {f"{MODULE}.status": "stopped"},
        ]
    ),
)
gaps = st.sampled_from([1, 5, 30, 59, 60, 61, 119, 300, 599, 600, 601, 900, 1300, 4000])
lives = st.lists(st.tuples(gaps, changes, st.booleans()), min_size=1, max_size=12)
policies = st.sampled_from(
    [
        GracePolicy(),
        GracePolicy(default=timedelta(minutes=1), periods={"m2": timedelta(hours=1)}),
        GracePolicy(periods={"reason:backoff": timedelta(hours=1), "reason:registry_refused": timedelta(minutes=20)}),
        GracePolicy(stable_after=timedelta(minutes=5), intensive_care=timedelta(minutes=1), hopeless=timedelta(0)),
    ]
)


def look_when_due(device: Device, until: datetime) -> None:
    """Look as `flag_stuck` does, in the moment in which a deadline is over."""
    last = device.kept.observed
    while (due := device.due) is not None and due <= until:
        if due <= last:
            device.look((last - T0).total_seconds())
            due = device.kept.lags_until
            if due is None or due > until:
                return
        last = due
        device.look((due - T0).total_seconds())


def lived(policy: GracePolicy, life: list[tuple[int, dict[str, Any], bool]], every: float | None = None) -> Device:
    """A device after its life: looked at with each change, when it is due, and by somebody every so many seconds.

    Its history has to be whole.
    """
    device, history, seconds = Device(policy), History(), 0.0
    device.look(0, {})
    for gap, change, lags in [*life, (20_000, {}, False)]:
        if every is not None:
            for step in range(1, min(50, int(gap / every)) + 1):
                look_when_due(device, after(seconds + step * every))
                device.look(seconds + step * every)
        seconds += gap
        look_when_due(device, after(seconds))
        device.look(seconds, change, lags=lags)
    history.follow(device.kept, device.history)
    return device


@settings(BOUNDED, max_examples=100)
@given(policies, lives, st.sampled_from([7, 31, 250]))
def test_looks_that_happen_more_often_change_no_news(
    policy: GracePolicy, life: list[tuple[int, dict[str, Any], bool]], every: float
) -> None:
    seldom, often = lived(policy, life), lived(policy, life, every)
    assert facts(often.history) == facts(seldom.history)


@settings(BOUNDED, max_examples=100)
@given(policies, lives)
def test_any_life_has_a_history_that_is_whole_and_another_look_at_its_end_announces_nothing(
    policy: GracePolicy, life: list[tuple[int, dict[str, Any], bool]]
) -> None:
    device = lived(policy, life)
    record, now = device.kept, device.kept.observed
    assert advance(record, device.status, now, policy) == (record, ())


@settings(BOUNDED, max_examples=100)
@given(policies, lives)
def test_a_device_that_is_well_for_long_is_announced_as_successful_and_has_no_deadline(
    policy: GracePolicy, life: list[tuple[int, dict[str, Any], bool]]
) -> None:
    device = lived(policy, life)
    seconds = (device.kept.observed - T0).total_seconds()
    version = device.changes.get("desired.$version", 12)
    well = {
        f"{ASKED}.status": "running",
        f"{ASKED}.settings.image": IMAGES[0],
        MODULE: {"runtimeStatus": "running", "settings": {"image": IMAGES[0]}},
        f"{AGENT}.settings.image": "registry.example/agent:1.5",
        "desired.modules.m2": GONE,
        "reported.modules.m2": GONE,
        "reported.modules.old": GONE,
        **code(200),
        **taken(version),
    }
    for path in (RUNS, COUNT, f"{MODULE}.settings.image", f"{MODULE}.status"):
        device.changes.pop(path, None)
    device.look(seconds + 60, well)
    look_when_due(device, after(seconds + 90_000))
    assert (device.kept.verdict.state, device.kept.news.state, device.due) == ("successful", "successful", None)
    assert [module.news.state for module in device.kept.modules.values()] == ["settled", "settled"]
    assert not any(module.clock.is_running for module in device.kept.modules.values())


HOSTILE_TIMES: Final[tuple[Any, ...]] = (
    "0001-01-01T00:00:00Z",
    after(86_400).isoformat(),
    "2026-01-01T09:59:59",
    "soon",
    5,
    None,
    {},
)


@pytest.mark.parametrize("time", HOSTILE_TIMES)
def test_start_and_exit_times_move_no_clock_and_flag_nothing_that_is_well(time: Any) -> None:
    device = Device()
    device.look(0, {f"{MODULE}.lastStartTimeUtc": time, f"{MODULE}.lastExitTimeUtc": time})
    device.look(100, {f"{MODULE}.lastStartTimeUtc": GONE})
    device.look(9000)
    assert device.news == []
    device.look(10_000, {RUNS: "backoff", f"{MODULE}.lastExitTimeUtc": time})
    assert device.module().clock.unsettled_since == after(10_000)


@pytest.mark.parametrize("count", [-5, "3", 10**12, 2.5, True, None, [], 10**400])
def test_a_restart_count_of_any_kind_flags_nothing_that_is_well(count: Any) -> None:
    device = Device()
    device.look(0, {COUNT: count})
    device.look(100, {COUNT: 0})
    assert device.due is None
    device.look(200, {COUNT: count})
    for seconds in range(300, 20_000, 300):
        device.look(seconds)
    assert device.news == []
    assert not device.module().clock.is_running


METADATA: Final[tuple[Any, ...]] = (
    GONE,
    None,
    5,
    [],
    "none",
    {},
    {"$lastUpdated": 7},
    {"$lastUpdated": "0001-01-01T00:00:00Z"},
)


@pytest.mark.parametrize("metadata", METADATA)
@pytest.mark.parametrize("sections", [("desired",), ("reported",), ("desired", "reported")])
def test_without_metadata_what_leaves_left_when_it_was_seen_and_what_is_well_stays_so(
    sections: tuple[str, ...], metadata: Any
) -> None:
    without = {f"{section}.$metadata": metadata for section in sections}
    record, _ = advance(None, judged(), T0, GracePolicy())
    now = after(5000)
    record, transitions = advance(record, judged(without), now, GracePolicy())
    assert transitions == ()
    record, transitions = advance(record, judged({**without, RUNS: "backoff"}), now, GracePolicy())
    assert [(item.change.kind, item.at) for item in transitions] == [("module", now), ("device", now)]
    assert record.modules["m1"].clock.stuck_at == now + timedelta(minutes=15)
