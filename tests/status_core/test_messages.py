"""One sentence a person can act on, for each device and each module."""

from typing import Any

import pytest
from twins import AGENT, ASKED, GONE, MODULE, STATUS, judged, module

from status_core import DeploymentStatus, ModuleState, Reason, State
from status_core.messages import MESSAGE_LIMIT

EARLIER = {"reported.lastDesiredVersion": 11}
STATUS_OF = f"{MODULE}.runtimeStatus"


def failed(description: str) -> dict[str, Any]:
    return {f"{STATUS}.code": 500, f"{STATUS}.description": description}


def is_status(word: str) -> dict[str, Any]:
    return {STATUS_OF: word}


SENTENCES: list[tuple[State, Reason, dict[str, Any], str]] = [
    (State.NO_DEPLOYMENT, Reason.NOTHING_DESIRED, {"desired": {}}, "No deployment asks anything"),
    (State.INVALID, Reason.CONFIG_REJECTED, {f"{STATUS}.code": 400}, "cannot read the manifest of version 12"),
    (State.INVALID, Reason.SCHEMA_VERSION_REJECTED, {f"{STATUS}.code": 412}, "schemaVersion of version 12"),
    (State.PENDING, Reason.NEVER_REPORTED, {"reported": {}}, "never reported"),
    (State.PENDING, Reason.WAITING_FOR_DEVICE, EARLIER, "not taken version 12 and is still at 11"),
    (
        State.PENDING,
        Reason.VERSION_REGRESSED,
        {"reported.lastDesiredVersion": 13},
        "version 13, later than the desired 12",
    ),
    (State.PENDING, Reason.AGENT_STOPPED, {**EARLIER, f"{STATUS}.code": 406}, "not taken version 12, and its agent"),
    (
        State.AGENT_UNAVAILABLE,
        Reason.AGENT_STOPPED,
        {f"{STATUS}.code": 406, f"{STATUS}.description": "Agent is not running"},
        'The agent says: "Agent is not running"',
    ),
    (State.EMPTY, Reason.EMPTY_REPORTED, {f"{STATUS}.code": 417}, "version 12 is empty"),
    (State.IN_PROGRESS, Reason.RETRYING, {f"{STATUS}.code": 406}, "before it tries version 12 again"),
    (State.IN_PROGRESS, Reason.STATUS_MISSING, {STATUS: GONE}, "has not said how it went"),
    (
        State.IN_PROGRESS,
        Reason.RUNTIME_UNREACHABLE,
        failed("Error calling List modules: x"),
        "does not answer the agent",
    ),
    (State.IN_PROGRESS, Reason.PULL_FAILED, failed("Could not pull image"), "cannot be pulled"),
    (State.IN_PROGRESS, Reason.PULL_TIMED_OUT, {**failed("canceled"), MODULE: GONE}, "it probably goes on"),
    (State.IN_PROGRESS, Reason.STEP_TIMED_OUT, failed("canceled"), "answered too late"),
    (State.IN_PROGRESS, Reason.START_FAILED, failed("calling start module m1"), "cannot be started"),
    (State.IN_PROGRESS, Reason.STOP_FAILED, failed("calling stop module m1"), "cannot be stopped or removed"),
    (State.IN_PROGRESS, Reason.CREATE_FAILED, failed("calling create module m1"), "cannot be created"),
    (State.IN_PROGRESS, Reason.IDENTITY_FAILED, failed("no identity"), "check the identity service"),
    (State.IN_PROGRESS, Reason.STATUS_UNREADABLE, failed("x is not a valid status"), "that the agent cannot read"),
    (State.IN_PROGRESS, Reason.PLAN_FAILED, failed("something"), "A step of version 12 failed"),
    (State.IN_PROGRESS, Reason.SETTLING, {MODULE: GONE}, "does not show the wanted images yet: m1."),
    (State.IN_PROGRESS, Reason.AGENT_UPDATING, {f"{AGENT}.settings.image": "old"}, "The agent replaces itself"),
    (State.MODULE_FAILED, Reason.BACKOFF, is_status("backoff"), "Not in their desired status: m1 (backoff)."),
    (
        State.MODULE_FAILED,
        Reason.EXITED,
        {**is_status("failed"), f"{MODULE}.exitCode": 139},
        "m1 (failed, exit code 139)",
    ),
    (State.MODULE_FAILED, Reason.DEAD, is_status("dead"), "m1 (dead)"),
    (State.MODULE_FAILED, Reason.UNHEALTHY, is_status("unhealthy"), "m1 (unhealthy)"),
    (State.MODULE_FAILED, Reason.STATUS_UNKNOWN, {STATUS_OF: GONE}, "m1 (unknown)"),
    (State.MODULE_FAILED, Reason.STILL_RUNNING, {f"{ASKED}.status": "stopped"}, "m1 (running)"),
    (State.SUCCESSFUL, Reason.AS_DESIRED, {}, "Every module is what version 12 wants."),
    (State.UNCLASSIFIED, Reason.UNKNOWN_CODE, {f"{STATUS}.code": 418}, "not known: 418."),
]

OF_MODULES_ALONE = {Reason.NOT_DESIRED, Reason.NOT_REPORTED, Reason.FINISHED}


@pytest.mark.parametrize(("state", "reason", "changes", "words"), SENTENCES, ids=lambda value: str(value)[:24])
def test_each_state_and_reason_has_a_sentence(
    state: State, reason: Reason, changes: dict[str, Any], words: str
) -> None:
    status = judged(changes)
    assert (state, reason) == (status.state, status.reason)
    assert words in status.message


def test_every_reason_that_a_device_can_have_is_among_the_sentences() -> None:
    assert {reason for _, reason, _, _ in SENTENCES} == set(Reason) - OF_MODULES_ALONE


@pytest.mark.parametrize(
    ("state", "changes", "sentence"),
    [
        (ModuleState.SETTLED, {}, "m1 is as desired."),
        (ModuleState.PENDING, EARLIER, "m1 waits for the device to take version 12."),
        (ModuleState.MISSING, {MODULE: GONE}, "m1 is not on the device; it should run registry.example/m1:1.0."),
        (
            ModuleState.UPDATING,
            {f"{MODULE}.settings.image": "m1:0"},
            "m1 runs m1:0 and should run registry.example/m1:1.0.",
        ),
        (
            ModuleState.WRONG_STATUS,
            {STATUS_OF: "backoff", f"{MODULE}.exitCode": 1},
            "m1 is backoff, exit code 1 and should be running. It keeps exiting; look at its logs on the device.",
        ),
        (
            ModuleState.UNKNOWN,
            {f"{STATUS}.code": 406, f"{STATUS}.description": "Agent is not running"},
            "What m1 does is not known: the agent does not say. The agent said that it stops.",
        ),
        (ModuleState.EXTRA, {ASKED: GONE}, "m1 is on the device and not part of the deployment."),
    ],
)
def test_each_state_of_a_module_has_a_sentence(state: ModuleState, changes: dict[str, Any], sentence: str) -> None:
    seen = module(changes)
    assert (state, sentence) == (seen.state, seen.message)


def many_modules(count: int, word: str) -> DeploymentStatus:
    desired = {f"m{number}": {"status": "running", "settings": {"image": "m:1"}} for number in range(count)}
    reported = {name: {**entry, "runtimeStatus": word} for name, entry in desired.items()}
    return judged({"desired.modules": desired, "reported.modules": reported})


def test_three_modules_are_named_and_the_rest_is_counted() -> None:
    assert many_modules(3, "dead").message == "Not in their desired status: m0 (dead), m1 (dead), m2 (dead)."
    assert many_modules(50, "dead").message.endswith("m1 (dead), m2 (dead) and 47 more.")


def test_the_most_severe_module_is_named_first() -> None:
    status = judged({STATUS_OF: "dead", "reported.systemModules.edgeHub.runtimeStatus": "backoff"})
    assert status.message == "Not in their desired status: $edgeHub (backoff), m1 (dead)."
    assert status.reason is Reason.BACKOFF


@pytest.mark.parametrize("odd", ["x" * 5000, "\x00\x1b[2J\r\n\u2028\ud800" * 400, "{version} {0} {}", "%s " * 900])
def test_a_message_is_one_printable_line_of_at_most_1024_characters(odd: str) -> None:
    places = (
        {f"{STATUS}.code": 500, f"{STATUS}.description": odd},
        {f"{STATUS}.code": odd},
        {STATUS_OF: odd},
        {f"{ASKED}.status": odd},
        {f"{ASKED}.settings.image": odd},
        {f"{MODULE}.settings.image": odd},
        {"desired.modules": {odd.replace(".", ""): {"settings": {"image": odd}}}},
    )
    for changes in places:
        status = judged(changes)
        for message in (status.message, *(seen.message for seen in status.modules.values())):
            assert 0 < len(message) <= MESSAGE_LIMIT
            assert message.isprintable()


def test_a_long_description_ends_in_dots_and_a_blank_one_is_not_quoted() -> None:
    assert judged(failed("x" * 5000)).message.endswith("xxx...")
    assert "says" not in judged(failed("  \n")).message


def test_a_code_of_another_kind_is_shown_by_its_kind_alone() -> None:
    assert judged({f"{STATUS}.code": {"password": "hunter2"}}).message.endswith("not known: <object>.")
    assert judged({f"{STATUS}.code": [1]}).message.endswith("not known: <array>.")
    assert judged({f"{STATUS}.code": None}).message.endswith("not known: none.")
