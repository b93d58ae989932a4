"""The milestones of each scenario from the field, and of each trace that edgeAgent itself wrote (tests/field)."""

from typing import Final

import pytest
from rollouts import FIELD, replayed

FILES: Final = sorted(f"{path.parent.name}/{path.stem}" for path in FIELD.glob("*/*.jsonl"))
HEALTHY: Final = """
        v2 08:01:00 1 started
        v2 08:02:00 1 completed
"""
BEFORE: Final = HEALTHY + "v2 08:11:00 1 superseded\n"
"""Most traces begin with a healthy device, and bring the version that they are about at 08:10:04."""

MILESTONES: Final[dict[str, str]] = {
    "agent/a_first_deployment": """
        v2 08:01:00 1 started
        v2 08:04:00 1 completed
    """,
    "agent/b_image_update": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:13:00 1 completed
    """,
    "agent/bb_images": HEALTHY,
    "agent/c2_registry_down": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:30:00 1 first_failure
        v3 08:30:00 1 stalled
        v3 08:36:00 1 completed
    """,
    "agent/c_pull_not_found": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:30:00 1 first_failure
        v3 08:30:00 1 stalled
        v3 08:51:00 1 superseded
        v4 08:51:00 1 started
        v4 08:52:00 1 completed
    """,
    "agent/cc_reported_garbage": HEALTHY,
    "agent/d2_crash_loop_3s_3h": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:27:00 1 first_failure
        v3 08:27:00 1 stalled
    """,
    "agent/d_crash_loop_3s": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:27:00 1 first_failure
        v3 08:27:00 1 stalled
    """,
    "agent/e_crash_every_5min": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:12:00 1 completed
    """,
    "agent/f_one_crash": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:12:00 1 completed
    """,
    "agent/g_stopped": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:12:00 1 completed
        v3 08:26:00 1 superseded
        v4 08:26:00 1 started
        v4 08:27:00 1 completed
    """,
    "agent/h2_bad_first_manifest": """
        v2 08:01:00 1 started
        v2 08:01:00 1 first_failure
        v2 08:11:00 1 superseded
        v3 08:11:00 1 started
        v3 08:12:00 1 completed
    """,
    "agent/h5_crash_under_bad_manifest": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:11:00 1 first_failure
        v3 08:30:00 1 stalled
        v3 08:31:00 1 superseded
        v4 08:31:00 1 started
        v4 08:32:00 1 completed
    """,
    "agent/h_bad_manifests": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:11:00 1 first_failure
        v3 08:21:00 1 superseded
        v4 08:21:00 1 started
        v4 08:21:00 1 first_failure
        v4 08:31:00 1 superseded
        v6 08:41:00 1 started
        v6 08:42:00 1 completed
    """,
    "agent/i1_never_exit1": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:30:00 1 first_failure
        v3 08:30:00 1 stalled
    """,
    "agent/i4_onfailure_exit1": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:26:00 1 first_failure
        v3 08:26:00 1 stalled
    """,
    "agent/k1_agent_graceful": HEALTHY,
    "agent/k2_agent_killed": HEALTHY,
    "agent/l3_unknown_container_state": HEALTHY,
    "agent/l_runtime_unreachable": HEALTHY,
    "agent/m_wait_for_all_pulls": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:30:00 1 first_failure
        v3 08:30:00 1 stalled
        v3 08:51:00 1 superseded
        v4 08:51:00 1 started
        v4 08:52:00 1 completed
    """,
    "agent/n_module_removed": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:12:00 1 completed
    """,
    "agent/o_identity_error": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:30:00 1 first_failure
        v3 08:30:00 1 stalled
        v3 08:42:00 1 completed
    """,
    "agent/q_create_fails": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:30:00 1 first_failure
        v3 08:30:00 1 stalled
        v3 08:41:00 1 superseded
        v4 08:41:00 1 started
        v4 08:42:00 1 completed
    """,
    "agent/r_startup_order": """
        v2 08:01:00 1 started
        v2 08:06:00 1 completed
    """,
    "agent/s_oom_every_20min": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:12:00 1 completed
    """,
    "agent/t_crash_loop_fixed": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:27:00 1 first_failure
        v3 08:27:00 1 stalled
        v3 08:41:00 1 superseded
        v4 08:41:00 1 started
        v4 08:42:00 1 completed
    """,
    "agent/u_agent_update": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:13:00 1 completed
    """,
    "agent/v_long_pull": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:25:00 1 completed
    """,
    "agent/x_two_of_three_bad": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:27:00 1 first_failure
        v3 08:27:00 1 stalled
    """,
    "agent/y_env_change_only": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:12:00 1 completed
    """,
    "scenarios/S11_registry_refuses": BEFORE
    + """
        v3 08:11:00 1 started
        v3 08:13:00 1 first_failure
        v3 08:30:00 1 stalled
        v3 08:51:00 1 superseded
        v4 08:51:00 1 started
        v4 08:52:00 1 completed
    """,
    "scenarios/S1_nightly_restart_after_completed": """
        app 08:00:30 1 started
        app 08:02:00 1 completed
    """,
    "scenarios/S2_one_exit_at_the_start_of_a_rollout": """
        app 08:01:00 1 started
        app 08:14:00 1 completed
    """,
    "scenarios/S3_same_id_created_anew_between_two_looks": """
        app 08:00:30 1 started
        app 08:02:00 1 completed
        app 09:00:30 2 started
        app 09:03:00 2 completed
        base 08:00:30 1 started
        base 08:02:00 1 completed
    """,
    "scenarios/S3b_same_id_created_anew_seen_gone": """
        app 08:00:30 1 started
        app 08:02:00 1 completed
        app 09:00:30 1 superseded
        app 09:05:30 2 started
        app 09:08:00 2 completed
        base 08:00:30 1 started
        base 08:02:00 1 completed
    """,
    "scenarios/S6_two_pulls_fail_named_in_turn": """
        app 08:15:00 1 started
        app 08:15:00 1 first_failure
    """,
    "scenarios/S8_crash_loop_is_called_completed": """
        app 08:00:30 1 started
        app 08:15:30 1 first_failure
        app 08:15:30 1 stalled
    """,
}
"""Of each file: deployment, time, version and name of each milestone, as the timers of the file announce it."""


def expected(name: str) -> list[str]:
    return [line.strip() for line in MILESTONES[name].splitlines() if line.strip()]


def test_every_file_has_its_milestones() -> None:
    assert list(MILESTONES) == FILES


@pytest.mark.parametrize("name", FILES)
def test_milestones_of_a_file_from_the_field(name: str) -> None:
    deployments = replayed(name)
    found = deployments.milestones
    reached = [f"{deployment} {line}" for deployment in found for line in deployments.lines(deployment)]
    assert sorted(reached) == sorted(expected(name))
