"""What is announced of each scenario from the field, and of each trace that edgeAgent itself wrote.

`tests/field/scenarios` are made from public reports, `tests/field/agent` is what edgeAgent's own code wrote when it was
driven through a scenario. Every device of a file has the same news.
"""

import json
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from history import facts

from status_core import DeviceRecord, GracePolicy, Transition, advance, evaluate

FIELD: Final = Path(__file__).parents[1] / "field"
FILES: Final = sorted(f"{path.parent.name}/{path.stem}" for path in FIELD.glob("*/*.jsonl"))
POLICY: Final = GracePolicy()

HEALTHY: Final = """
    08:00:00 device - no_deployment nothing_desired
    08:00:12 device - pending empty_reported
    08:01:39 device - successful as_desired
"""
"""The first minutes of most traces: a device that was empty takes version 2."""

NEWS: Final[dict[str, str]] = {
    "agent/a_first_deployment": """
        08:00:00 device - no_deployment nothing_desired
        08:00:30 device - pending empty_reported
        08:03:19 device - successful as_desired
    """,
    "agent/b_image_update": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:12:11 device - successful as_desired
    """,
    "agent/bb_images": """
        08:00:00 device - pending never_reported
        08:01:50 device - successful as_desired
    """,
    "agent/c2_registry_down": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:10:28 module m1 updating pull_failed
        08:10:28 device - in_progress pull_failed
        08:25:04 stuck m1 updating pull_failed
        08:35:09 recovered m1 settled as_desired
        08:35:09 module m1 settled as_desired
        08:35:09 device - successful as_desired
    """,
    "agent/c_pull_not_found": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:10:06 module m1 updating pull_failed
        08:10:06 device - in_progress pull_failed
        08:25:04 stuck m1 updating pull_failed
        08:50:03 recovered m1 pending waiting_for_device
        08:50:03 device - pending waiting_for_device
        08:51:30 module m1 settled as_desired
        08:51:30 device - successful as_desired
    """,
    "agent/cc_reported_garbage": HEALTHY
    + """
        08:10:34 device - pending never_reported
        08:20:34 device - successful as_desired
    """,
    "agent/d2_crash_loop_3s_3h": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:10:16 module m1 wrong_status backoff
        08:10:16 device - module_failed backoff
        08:25:04 stuck m1 wrong_status backoff
        09:32:12 module m1 wrong_status gave_up
        09:32:12 device - module_failed gave_up
    """,
    "agent/d_crash_loop_3s": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:10:16 module m1 wrong_status backoff
        08:10:16 device - module_failed backoff
        08:25:04 stuck m1 wrong_status backoff
    """,
    "agent/e_crash_every_5min": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:11:16 device - successful as_desired
        08:15:16 module m1 wrong_status backoff
        08:15:16 device - module_failed backoff
        08:31:42 stuck m1 wrong_status backoff
    """,
    "agent/f_one_crash": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:11:16 device - successful as_desired
        08:12:16 module m1 wrong_status backoff
        08:12:16 device - module_failed backoff
        08:22:32 module m1 settled as_desired
        08:22:32 device - successful as_desired
    """,
    "agent/g_stopped": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:11:19 device - successful as_desired
        08:25:04 device - pending waiting_for_device
        08:26:09 device - successful as_desired
    """,
    "agent/h2_bad_first_manifest": """
        08:00:00 device - no_deployment nothing_desired
        08:00:30 device - pending empty_reported
        08:00:30 device - invalid config_rejected
        08:02:30 stuck - invalid config_rejected
        08:10:30 recovered - pending rejected_before
        08:10:30 device - pending rejected_before
        08:11:54 device - successful as_desired
    """,
    "agent/h5_crash_under_bad_manifest": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:10:04 device - invalid config_rejected
        08:11:44 module m1 wrong_status unmanaged
        08:12:04 stuck - invalid config_rejected
        08:26:44 stuck m1 wrong_status unmanaged
        08:30:04 recovered m1 pending rejected_before
        08:30:04 recovered - pending rejected_before
        08:30:04 device - pending rejected_before
        08:31:15 module m1 settled as_desired
        08:31:15 device - successful as_desired
    """,
    "agent/h_bad_manifests": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:10:04 device - invalid schema_version_rejected
        08:12:04 stuck - invalid schema_version_rejected
        08:20:04 recovered - pending rejected_before
        08:20:04 device - pending rejected_before
        08:20:04 device - invalid config_rejected
        08:22:04 stuck - invalid config_rejected
        08:30:04 recovered - no_deployment nothing_desired
        08:30:04 device - no_deployment nothing_desired
        08:40:04 device - pending waiting_for_device
        08:41:16 device - successful as_desired
    """,
    "agent/i1_never_exit1": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:10:35 module job wrong_status exited
        08:10:35 device - module_failed exited
        08:25:04 stuck job wrong_status exited
    """,
    "agent/i4_onfailure_exit1": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:10:35 module job wrong_status backoff
        08:10:35 device - module_failed backoff
        08:25:04 stuck job wrong_status backoff
    """,
    "agent/k1_agent_graceful": HEALTHY
    + """
        08:10:04 device - agent_unavailable agent_stopped
        08:22:23 device - successful as_desired
    """,
    "agent/k2_agent_killed": HEALTHY,
    "agent/l3_unknown_container_state": HEALTHY
    + """
        08:10:04 device - in_progress status_unreadable
        08:25:04 device - successful as_desired
    """,
    "agent/l_runtime_unreachable": HEALTHY
    + """
        08:10:21 device - in_progress runtime_unreachable
        08:25:02 device - successful as_desired
    """,
    "agent/m_wait_for_all_pulls": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:10:31 module m1 updating pull_failed
        08:10:31 module m2 updating pull_failed
        08:10:50 device - in_progress pull_failed
        08:25:04 stuck m1 updating pull_failed
        08:25:04 stuck m2 updating pull_failed
        08:50:02 recovered m2 pending waiting_for_device
        08:50:02 device - pending waiting_for_device
        08:51:18 recovered m1 settled as_desired
        08:51:18 module m1 settled as_desired
        08:51:18 module m2 settled as_desired
        08:51:18 device - successful as_desired
    """,
    "agent/n_module_removed": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:11:14 device - successful as_desired
    """,
    "agent/o_identity_error": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:25:04 device - in_progress skipped
        08:25:04 stuck m1 updating skipped
        08:25:04 stuck m3 missing skipped
        08:41:23 recovered m1 settled as_desired
        08:41:23 recovered m3 settled as_desired
        08:41:23 device - successful as_desired
    """,
    "agent/q_create_fails": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:10:16 module m1 missing create_failed
        08:10:16 device - in_progress create_failed
        08:25:04 stuck m1 missing create_failed
        08:40:02 recovered m1 pending waiting_for_device
        08:40:02 device - pending waiting_for_device
        08:41:14 module m1 settled as_desired
        08:41:14 device - successful as_desired
    """,
    "agent/r_startup_order": """
        08:00:00 device - no_deployment nothing_desired
        08:00:30 device - pending empty_reported
        08:05:15 device - successful as_desired
    """,
    "agent/s_oom_every_20min": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:11:16 device - successful as_desired
        08:30:16 module m1 wrong_status backoff
        08:30:16 device - module_failed backoff
        08:40:32 module m1 settled as_desired
        08:40:32 device - successful as_desired
        08:50:32 module m1 wrong_status backoff
        08:50:32 device - module_failed backoff
        09:10:47 module m1 settled as_desired
        09:10:47 device - successful as_desired
        09:10:47 module m1 wrong_status backoff
        09:10:47 device - module_failed backoff
        09:31:02 stuck m1 wrong_status backoff
    """,
    "agent/t_crash_loop_fixed": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:10:16 module m1 wrong_status backoff
        08:10:16 device - module_failed backoff
        08:25:04 stuck m1 wrong_status backoff
        08:40:04 recovered m1 pending waiting_for_device
        08:40:04 device - pending waiting_for_device
        08:41:15 module m1 settled as_desired
        08:41:15 device - successful as_desired
    """,
    "agent/u_agent_update": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:12:01 device - successful as_desired
    """,
    "agent/v_long_pull": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:15:04 module m1 updating pull_timed_out
        08:15:04 device - in_progress pull_timed_out
        08:24:21 module m1 settled as_desired
        08:24:21 device - successful as_desired
    """,
    "agent/x_two_of_three_bad": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:10:24 module badcrash wrong_status backoff
        08:10:24 module badpull missing pull_failed
        08:10:24 device - in_progress pull_failed
        08:25:04 stuck badcrash wrong_status backoff
        08:25:04 stuck badpull missing pull_failed
    """,
    "agent/y_env_change_only": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:11:07 device - successful as_desired
    """,
    "scenarios/S11_registry_refuses": HEALTHY
    + """
        08:10:04 device - pending waiting_for_device
        08:10:06 module m1 updating registry_refused
        08:10:06 device - in_progress registry_refused
        08:12:06 stuck m1 updating registry_refused
        08:50:03 recovered m1 pending waiting_for_device
        08:50:03 device - pending waiting_for_device
        08:51:30 module m1 settled as_desired
        08:51:30 device - successful as_desired
    """,
    "scenarios/S1_nightly_restart_after_completed": """
        08:00:00 device - successful as_desired
        22:39:06 module m1 wrong_status backoff
        22:39:06 device - module_failed backoff
        22:50:12 module m1 settled as_desired
        22:50:12 device - successful as_desired
    """,
    "scenarios/S2_one_exit_at_the_start_of_a_rollout": """
        08:00:00 device - pending waiting_for_device
        08:02:50 module m1 wrong_status backoff
        08:02:50 device - module_failed backoff
        08:13:05 module m1 settled as_desired
        08:13:05 device - successful as_desired
    """,
    "scenarios/S3_same_id_created_anew_between_two_looks": """
        08:00:00 device - successful as_desired
        09:00:00 device - pending waiting_for_device
        09:03:00 device - successful as_desired
    """,
    "scenarios/S3b_same_id_created_anew_seen_gone": """
        08:00:00 device - successful as_desired
        09:00:00 device - pending waiting_for_device
        09:01:40 device - successful as_desired
        09:05:00 device - pending waiting_for_device
        09:08:00 device - successful as_desired
    """,
    "scenarios/S6_two_pulls_fail_named_in_turn": """
        08:00:00 device - pending waiting_for_device
        08:01:00 module m1 updating pull_failed
        08:01:00 module m2 updating pull_failed
        08:01:00 device - in_progress pull_failed
        08:15:00 stuck m1 updating pull_failed
        08:15:00 stuck m2 updating pull_failed
    """,
    "scenarios/S8_crash_loop_is_called_completed": """
        08:00:00 device - pending waiting_for_device
        08:02:55 module m1 wrong_status backoff
        08:02:55 device - module_failed backoff
        08:15:00 stuck m1 wrong_status backoff
    """,
}
"""Of each file: time to the nearest second, kind, module, state and reason of each transition."""


def replayed(name: str, every: timedelta | None = None) -> dict[str, list[Transition]]:
    """The transitions of each device of a file: each twin is looked at as it comes, and by the timers of the file.

    Args:
        name: The file.
        every: How often somebody else looks at all of them meanwhile.
    """
    records: dict[str, DeviceRecord] = {}
    twins: dict[str, Any] = {}
    news = defaultdict[str, list[Transition]](list)
    looked: datetime | None = None

    def look(device: str, now: datetime) -> None:
        records[device], transitions = advance(records.get(device), evaluate(twins[device], now=now), now, POLICY)
        news[device] += transitions

    for line in (FIELD / f"{name}.jsonl").read_text().splitlines():
        event = json.loads(line)
        now = datetime.fromisoformat(event["at"])
        while every is not None and looked is not None and looked + every < now:
            looked += every
            for device in twins:
                look(device, looked)
        looked = looked or now
        if "twin" in event:
            twins[event["twin"]["deviceId"]] = event["twin"]
            look(event["twin"]["deviceId"], now)
        elif "run" in event:
            for device, record in list(records.items()):
                due = record.due(POLICY)
                if event["run"] == "resync" or (due is not None and due <= now):
                    look(device, now)
        else:
            assert "deployments" in event
    return news


def lines(transitions: list[Transition]) -> list[str]:
    """Each transition as `NEWS` has it."""
    found = []
    for item in transitions:
        at, change = item.at + timedelta(milliseconds=500), item.change
        found.append(f"{at:%H:%M:%S} {change.kind} {change.module or '-'} {change.to_state} {change.reason}")
    return found


def expected(name: str) -> list[str]:
    return [line.strip() for line in NEWS[name].splitlines() if line.strip()]


def test_every_file_has_its_news() -> None:
    assert sorted(NEWS) == FILES


@pytest.mark.parametrize("name", FILES)
def test_a_file_gives_the_news_that_is_right_for_it_and_no_more(name: str) -> None:
    for transitions in replayed(name).values():
        assert lines(transitions) == expected(name)
        assert [item.sequence for item in transitions] == list(range(1, len(transitions) + 1))
        assert [item.change.is_initial for item in transitions] == [True] + [False] * (len(transitions) - 1)


@pytest.mark.parametrize("name", FILES)
def test_a_file_gives_the_same_news_however_often_somebody_looks(name: str) -> None:
    often = replayed(name, every=timedelta(seconds=31))
    assert {device: facts(news) for device, news in replayed(name).items()} == {
        device: facts(news) for device, news in often.items()
    }
