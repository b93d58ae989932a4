"""Reports that show what ran before the plan say nothing to clocks and are no news, until the next, or for a minute."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from device import COUNT, RUNS, Device, after, followed, looked_at, taken, version
from twins import ASKED, GONE, MODULE, REPORTED_AT, STATUS, judged

from status_core import GracePolicy, Kind, advance
from status_core.clock_input import ClockInput, module_input

BACKOFF: dict[str, Any] = {RUNS: "backoff", COUNT: 0}
BACK: dict[str, Any] = {RUNS: "running", COUNT: 1}


def test_a_reboot_announces_nothing() -> None:
    device = Device()
    device.look(0, {COUNT: 0})
    device.look(100, BACKOFF, lags=True)
    assert (device.kept.verdict.state, device.due) == ("module_failed", after(160))
    device.look(105, BACK)
    device.look(705)
    assert device.news == []
    assert not device.module().clock.is_running


def test_a_module_that_is_desired_to_stop_announces_nothing() -> None:
    device = followed((100, {**version(13), f"{ASKED}.status": "stopped"}))
    stamp = {"reported.$metadata.lastDesiredVersion": {"$lastUpdated": after(110).isoformat()}}
    device.look(110, {**taken(13), **stamp})
    assert device.module().verdict.state == "wrong_status"
    device.look(115, {RUNS: "failed", f"{MODULE}.exitCode": 137})
    device.look(200)
    assert [item[1:4] for item in device.news] == [("device", "", "pending"), ("device", "", "successful")]


def test_the_mark_ends_by_time_where_no_other_report_comes_and_then_it_counts_from_its_own_time() -> None:
    device = followed()
    device.look(100, BACKOFF, lags=True)
    device.look(159)
    assert device.news == []
    device.look(160)
    assert device.news == [
        ("100", "module", "m1", "wrong_status", "backoff"),
        ("100", "device", "", "module_failed", "backoff"),
    ]
    assert device.module().clock.unsettled_since == after(100)
    assert device.kept.lags_until is None


def test_windows_run_on_under_a_lagging_report() -> None:
    device = followed((50, {RUNS: "backoff"}), (100, {RUNS: "running"}))
    device.look(690, BACKOFF, lags=True)
    device.look(705, {RUNS: "running"})
    assert device.news_of("m1")[-1] == ("700", "module", "settled", "as_desired")
    assert device.news_of("")[-1] == ("700", "device", "successful", "as_desired")
    assert all(item.change.since <= item.at for item in device.history)


def test_a_recovery_under_a_lagging_report_is_since_no_later_than_its_own_time() -> None:
    device = followed((50, {RUNS: "backoff"}), (950, None), (950, {RUNS: "running"}))
    device.look(1549, BACKOFF, lags=True)
    device.look(1555, {RUNS: "running"})
    recovered = next(item for item in device.history if item.change.kind is Kind.RECOVERED)
    assert (recovered.at, recovered.change.since) == (after(1550), after(1550))


def test_a_window_that_ends_under_a_lagging_report_is_looked_at_when_the_mark_ends() -> None:
    device = followed((50, {RUNS: "backoff"}), (100, {RUNS: "running"}))
    device.look(690, BACKOFF, lags=True)
    assert device.due == after(750)
    device.look(750)
    assert device.due is not None
    assert device.due > after(750)


def test_a_module_that_stays_away_after_a_lagging_report_was_not_settled_at_the_end_of_its_window() -> None:
    device = followed((50, {RUNS: "backoff"}), (100, {RUNS: "running"}))
    device.look(690, BACKOFF, lags=True)
    device.look(705, {RUNS: "dead"})
    assert [item[2] for item in device.news_of("m1")] == ["wrong_status"]
    assert device.module().clock.unsettled_since == after(50)


def test_a_lagging_report_has_a_deadline_only_where_it_shows_something_that_is_not_as_desired() -> None:
    device = followed()
    device.look(100, {}, lags=True)
    assert device.due is None
    device.look(200, {f"{STATUS}.code": 418, RUNS: "backoff"}, lags=True)
    assert device.due == after(260)


def test_the_clock_of_a_device_is_not_due_before_its_report_counts() -> None:
    device = Device(GracePolicy(default=timedelta(seconds=30)))
    device.look(0, {f"{STATUS}.code": 418})
    assert device.due == after(30)
    device.look(10, {f"{STATUS}.code": 200, RUNS: "backoff"}, lags=True)
    assert device.due == after(70)


def test_a_device_that_leaves_again_after_a_lagging_report_was_not_settled_at_the_end_of_its_window() -> None:
    device = looked_at((0, {f"{STATUS}.code": 418}), (100, {f"{STATUS}.code": 200}))
    device.look(130, {RUNS: "backoff"}, lags=True)
    device.look(170, {f"{STATUS}.code": 418})
    assert device.kept.clock.unsettled_since == after(0)


def test_the_report_that_takes_a_version_lags_and_the_next_does_not() -> None:
    taken_at = {"reported.$metadata.lastDesiredVersion.$lastUpdated": REPORTED_AT.isoformat()}
    assert judged(taken_at).is_lagging
    later = (REPORTED_AT + timedelta(seconds=5)).isoformat()
    assert not judged({**taken_at, "reported.$metadata.$lastUpdated": later}).is_lagging


def test_without_word_of_a_lag_a_report_counts() -> None:
    assert module_input("missing", "settling", "in_progress") is ClockInput.UNSETTLED


def test_pending_and_invalid_do_not_lag() -> None:
    device = followed()
    device.look(100, {f"{STATUS}.code": 400}, lags=True)
    assert device.news == [("100", "device", "", "invalid", "config_rejected")]


def test_a_device_that_recovers_with_a_lagging_report_in_between_is_what_it_is_now() -> None:
    device = followed((100, version(13)), (1000, None), (1100, taken(13)))
    device.look(1150, BACKOFF, lags=True)
    device.look(1165, {RUNS: "running"})
    assert device.news_of("")[-2:] == [
        ("1160", "recovered", "successful", "as_desired"),
        ("1160", "device", "successful", "as_desired"),
    ]


def test_a_device_that_is_still_away_after_a_lagging_report_is_stuck_from_then_on() -> None:
    device = followed((100, version(13)), policy=GracePolicy(periods={"$edgeAgent": timedelta(seconds=20)}))
    unknown = {f"{STATUS}.code": 500, f"{STATUS}.description": "something broke"}
    device.look(105, {**taken(13), **unknown}, lags=True)
    device.look(130)
    assert device.kept.verdict.state == "in_progress"
    device.look(150, {})
    assert device.news_of("")[1:] == [
        ("150", "device", "in_progress", "plan_failed"),
        ("150", "stuck", "in_progress", "plan_failed"),
    ]


@pytest.mark.parametrize("stamp", [after(86_400).isoformat(), "0001-01-01T00:00:00Z", None, 5, {}])
def test_a_mark_without_a_time_that_can_be_counts_for_nothing(stamp: Any) -> None:
    changes = {
        **BACKOFF,
        "reported.$metadata.$lastUpdated": stamp,
        "reported.$metadata.lastDesiredVersion": {"$lastUpdated": stamp},
    }
    record, _ = advance(None, judged(), after(0), GracePolicy())
    record, transitions = advance(record, judged(changes), after(100), GracePolicy())
    assert [item.change.to_state for item in transitions] == ["wrong_status", "module_failed"]
    assert record.lags_until is None


def test_a_report_that_the_app_reads_before_its_own_clock_says_so_lags_all_the_same() -> None:
    device = followed()
    device.look(99, BACKOFF, at=100, lags=True)
    assert device.news == []
    assert device.kept.lags_until == after(160)


@pytest.mark.parametrize("missing", [GONE, None, [], "none", {"edgeAgent": 7}])
def test_a_report_without_the_metadata_of_its_agent_does_not_lag(missing: Any) -> None:
    stamp = datetime(2026, 1, 1, 11, tzinfo=UTC)
    changes = {
        **BACKOFF,
        "reported.$metadata.$lastUpdated": stamp.isoformat(),
        "reported.$metadata.systemModules": missing,
    }
    assert not judged(changes).is_lagging
    assert advance(None, judged(changes), stamp + timedelta(seconds=1), GracePolicy())[0].lags_until is None
