"""What people who run IoT Edge reported, and what edgeAgent itself wrote: each is judged as its file says.

`tests/field/cases` are twins made from public reports, `descriptions.json` texts of agents from 1.0 to 1.5, and
`tests/field/agent` what edgeAgent's own code wrote when it was driven through a scenario.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from status_core import Reason, evaluate
from status_core.descriptions import explain

FIELD = Path(__file__).parents[1] / "field"
CASES = {path.stem: json.loads(path.read_bytes()) for path in sorted((FIELD / "cases").glob("*.json"))}
DESCRIPTIONS = json.loads((FIELD / "descriptions.json").read_bytes())

type Modules = dict[str, tuple[str, str]]

REASONS: dict[str, Reason] = {
    "003_pull_unauthorized_private_registry_new_agent_old_daemon": Reason.REGISTRY_REFUSED,
    "005_pull_failed_of_a_module_named_identity": Reason.PULL_FAILED,
    "007_start_failed_1_4_port_taken": Reason.START_FAILED,
    "011_pull_failed_disk_full": Reason.DISK_FULL,
    "014_pull_failed_no_matching_manifest": Reason.WRONG_PLATFORM,
    "015_invalid_400_createoptions_broken_by_layers": Reason.CONFIG_REJECTED,
    "017_second_bad_version_same_text": Reason.REJECTED_BEFORE,
    "018_fresh_417_of_a_version_that_holds_modules": Reason.EMPTY_REPORTED,
    "021_runtime_unreachable_while_a_new_version_waits": Reason.RUNTIME_UNREACHABLE,
    "023_edgeagent_update_and_start_failed": Reason.UPDATE_FAILED,
    "026_extra_module_not_removed_nested": Reason.AS_DESIRED,
    "029_pull_failed_invalid_reference_format": Reason.IMAGE_NOT_FOUND,
    "033_modules_differing_by_case_only": Reason.PULL_FAILED,
    "036_slow_pulls_operation_canceled_1_2": Reason.PULL_TIMED_OUT,
    "038_port_of_edgehub_blanked": Reason.PORT_TAKEN,
    "040_module_name_blanked_by_hostname": Reason.PULL_FAILED,
    "041_always_but_given_up_after_20_restarts": Reason.GAVE_UP,
    "043_stopped_and_never_started": Reason.NEVER_STARTED,
    "044_twin_of_edgehub_given_to_the_command": Reason.NOT_EDGE_AGENT,
    "047_benign_stop_hides_a_failed_pull_in_1_4_wording": Reason.PULL_FAILED,
}
"""The reason of the device; where a file names a wider one, the closer one of these."""

NAMED: dict[str, tuple[str, ...]] = {
    "003_pull_unauthorized_private_registry_new_agent_old_daemon": ("credentials of the registry",),
    "005_pull_failed_of_a_module_named_identity": ("image cannot be pulled", "sudo iotedge system logs"),
    "007_start_failed_1_4_port_taken": ("ports",),
    "011_pull_failed_disk_full": ("disk of the device is full",),
    "014_pull_failed_no_matching_manifest": ("architecture",),
    "015_invalid_400_createoptions_broken_by_layers": (
        "mosquitto.settings.createOptions",
        "not a JSON object",
        "createOptions01",
    ),
    "017_second_bad_version_same_text": ("rejected an earlier version", "same answer about this one would not show"),
    "018_fresh_417_of_a_version_that_holds_modules": ("agent is running", "empty", "restart edgeAgent"),
    "021_runtime_unreachable_while_a_new_version_waits": ("container runtime does not answer", "A task was canceled."),
    "023_edgeagent_update_and_start_failed": (
        "$edgeAgent",
        "could not be replaced",
        "Could not remove module edgeAgent",
    ),
    "029_pull_failed_invalid_reference_format": ("name of the image",),
    "038_port_of_edgehub_blanked": ("port", "5671"),
    "040_module_name_blanked_by_hostname": ("module opcpublisher", "mcr.microsoft.com/iotedge/opc-publisher:latest"),
    "041_always_but_given_up_after_20_restarts": ("gave up on the module after 20 restarts", "restart it", "deploy"),
    "043_stopped_and_never_started": ("created but never started",),
    "044_twin_of_edgehub_given_to_the_command": ("twin of $edgeHub", "$edgeAgent"),
    "047_benign_stop_hides_a_failed_pull_in_1_4_wording": ("image cannot be pulled",),
}
MISLEADING: dict[str, tuple[str, ...]] = {
    "011_pull_failed_disk_full": ("credentials", "the tag"),
    "017_second_bad_version_same_text": ("offline", "busy"),
    "018_fresh_417_of_a_version_that_holds_modules": ("offline", "busy"),
    "021_runtime_unreachable_while_a_new_version_waits": ("offline", "busy"),
    "038_port_of_edgehub_blanked": ("***",),
    "040_module_name_blanked_by_hostname": ("***",),
    "041_always_but_given_up_after_20_restarts": ("restartPolicy keeps",),
    "043_stopped_and_never_started": ("exited", "logs of the module"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_case_has_its_state_its_reason_and_the_documents_literal_rules(name: str) -> None:
    status, expected = evaluate(CASES[name]["twin"]), CASES[name]["expected"]
    assert (expected["state"], REASONS[name]) == (status.state, status.reason)
    assert set(expected["documented_rules"]) == set(status.documented)


@pytest.mark.parametrize("name", CASES)
def test_the_modules_of_a_case_are_what_it_says(name: str) -> None:
    status = evaluate(CASES[name]["twin"])
    for module, (state, reason) in CASES[name]["expected"].get("modules", {}).items():
        assert state == status.modules[module].state
        if reason == status.reason or module == "barkModule":
            assert reason == status.modules[module].reason


@pytest.mark.parametrize("name", NAMED)
def test_a_person_reads_what_a_case_is_about_and_nothing_that_misleads(name: str) -> None:
    message = evaluate(CASES[name]["twin"]).message
    assert [words for words in NAMED[name] if words not in message] == []
    assert [words for words in MISLEADING.get(name, ()) if words in message] == []


@pytest.mark.parametrize("text", DESCRIPTIONS, ids=lambda text: f"{text['agent']}-{text['reason']}")
def test_a_text_of_an_agent_has_its_reason_in_any_case(text: dict[str, Any]) -> None:
    for words in (text["description"], text["description"].upper()):
        assert text["reason"] == explain(words, image_outstanding=text["image_outstanding"]).reason


def judged(name: str) -> list[tuple[str, str, str, Modules]]:
    """Time, state, reason and troubled modules of each twin of a trace that differs from the one before."""
    found: list[tuple[str, str, str, Modules]] = []
    for line in (FIELD / "agent" / f"{name}.jsonl").read_text().splitlines():
        event = json.loads(line)
        if "twin" not in event:
            continue
        status = evaluate(event["twin"])
        modules: Modules = {
            module: (seen.state, seen.reason)
            for module, seen in status.modules.items()
            if seen.state not in {"settled", "pending", "unknown"}
        }
        item = (event["at"][11:19], status.state.value, status.reason.value, modules)
        if not found or found[-1][1:] != item[1:]:
            found.append(item)
    return found


TRACES: dict[str, list[tuple[str, str, str, Modules]]] = {
    "a_first_deployment": [("08:00:30", "pending", "empty_reported", {})],
    "c2_registry_down": [
        ("08:10:03", "pending", "waiting_for_device", {}),
        ("08:10:27", "in_progress", "pull_failed", {"m1": ("updating", "pull_failed")}),
    ],
    "d2_crash_loop_3s_3h": [
        ("08:10:16", "module_failed", "backoff", {"m1": ("wrong_status", "backoff")}),
        ("09:32:12", "module_failed", "gave_up", {"m1": ("wrong_status", "gave_up")}),
    ],
    "h_bad_manifests": [
        ("08:10:03", "invalid", "schema_version_rejected", {}),
        ("08:20:03", "pending", "rejected_before", {}),
        ("08:20:03", "invalid", "config_rejected", {}),
    ],
    "h2_bad_first_manifest": [("08:10:30", "pending", "rejected_before", {})],
    "h5_crash_under_bad_manifest": [
        ("08:11:43", "invalid", "config_rejected", {"m1": ("wrong_status", "unmanaged")}),
    ],
    "k1_agent_graceful": [("08:10:03", "agent_unavailable", "agent_stopped", {})],
    "l_runtime_unreachable": [("08:10:20", "in_progress", "runtime_unreachable", {})],
    "l3_unknown_container_state": [("08:10:03", "in_progress", "status_unreadable", {})],
    "m_wait_for_all_pulls": [
        (
            "08:10:25",
            "in_progress",
            "pull_failed",
            {"m1": ("updating", "pull_failed"), "m2": ("updating", "pull_failed")},
        ),
    ],
    "o_identity_error": [
        ("08:10:20", "in_progress", "settling", {"m1": ("updating", "settling"), "m3": ("missing", "settling")}),
    ],
    "q_create_fails": [
        ("08:10:10", "in_progress", "create_failed", {"m1": ("updating", "create_failed")}),
        ("08:10:16", "in_progress", "create_failed", {"m1": ("missing", "create_failed")}),
    ],
    "u_agent_update": [("08:10:33", "pending", "agent_updating", {})],
    "v_long_pull": [("08:15:03", "in_progress", "pull_timed_out", {"m1": ("updating", "pull_timed_out")})],
    "x_two_of_three_bad": [
        (
            "08:10:23",
            "in_progress",
            "pull_failed",
            {"badpull": ("missing", "pull_failed"), "badcrash": ("wrong_status", "backoff")},
        ),
    ],
}
"""Of each trace what it is about, in its order."""


@pytest.mark.parametrize("name", TRACES)
def test_what_the_agent_wrote_is_judged_as_what_happened_to_it(name: str) -> None:
    seen = judged(name)
    assert [item for item in seen if item in TRACES[name]] == TRACES[name]


@pytest.mark.parametrize("name", ["bb_images", "g_stopped", "n_module_removed"])
def test_a_trace_in_which_nothing_goes_wrong_ends_successful_and_without_a_finding(name: str) -> None:
    lines = (FIELD / "agent" / f"{name}.jsonl").read_text().splitlines()
    last = evaluate([json.loads(line)["twin"] for line in lines if '"twin"' in line][-1])
    assert (last.state, last.lint) == ("successful", ())


def test_an_edge_agent_never_refuses_what_no_lint_finds_and_lint_finds_nothing_in_what_it_took() -> None:
    refused = {name for name, case in CASES.items() if evaluate(case["twin"]).state == "invalid"}
    found = {name for name, case in CASES.items() if evaluate(case["twin"]).lint}
    assert refused == found == {"015_invalid_400_createoptions_broken_by_layers"}
