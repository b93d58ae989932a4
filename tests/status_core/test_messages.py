"""What a person reads: what is, what it means, what to do, and the agent's own words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from twins import AGENT, ASKED, DESIRED_AT, GONE, MODULE, STATUS, judged, module, twin_with

from status_core import DeploymentStatus, ModuleState, Reason, State, evaluate
from status_core.descriptions import DESCRIPTION_LIMIT
from status_core.messages import MESSAGE_LIMIT

EARLIER = {"reported.lastDesiredVersion": 11}
STATUS_OF = f"{MODULE}.runtimeStatus"
FRESH = {"reported.$metadata.lastDesiredStatus.$lastUpdated": (DESIRED_AT + timedelta(seconds=1)).isoformat()}
STALE = {"reported.$metadata.lastDesiredStatus.$lastUpdated": (DESIRED_AT - timedelta(seconds=1)).isoformat()}
PULL = "Error calling prepare update for module m1: caused by: "
START = "Error calling start module m1: caused by: "
WIPED = {f"{AGENT}.type": "Unknown", "reported.modules": GONE}
NEVER_STARTED = {f"{MODULE}.lastStartTimeUtc": "0001-01-01T00:00:00"}


def failed(description: str) -> dict[str, Any]:
    return {f"{STATUS}.code": 500, f"{STATUS}.description": description}


def is_status(word: str) -> dict[str, Any]:
    return {STATUS_OF: word}


def code(number: Any) -> dict[str, Any]:
    return {f"{STATUS}.code": number}


SENTENCES: list[tuple[State, Reason, dict[str, Any], str]] = [
    (State.UNCLASSIFIED, Reason.NOT_EDGE_AGENT, {"moduleId": "$edgeHub"}, "This is the twin of $edgeHub, not of"),
    (State.NO_DEPLOYMENT, Reason.NOTHING_DESIRED, {"desired": {}}, "No deployment asks anything"),
    (State.INVALID, Reason.CONFIG_REJECTED, code(400), "The agent rejected version 12. The agent cannot read"),
    (State.INVALID, Reason.SCHEMA_VERSION_REJECTED, code(412), "schemaVersion"),
    (State.EMPTY, Reason.EMPTY_REPORTED, code(417), "The agent took version 12. The agent is running but calls"),
    (State.PENDING, Reason.REJECTED_BEFORE, {**EARLIER, **code(400), **STALE}, "rejected an earlier version"),
    (State.PENDING, Reason.VERSION_REGRESSED, {"reported.lastDesiredVersion": 13}, "version 12 and is still at 13"),
    (State.PENDING, Reason.AGENT_STOPPED, {**EARLIER, **code(406)}, "has not taken version 12 and is still at 11."),
    (State.PENDING, Reason.NEVER_REPORTED, {"reported": {}}, "has not taken version 12. The device has never"),
    (State.PENDING, Reason.DEVICE_DISCONNECTED, {**EARLIER, "connectionState": "Disconnected"}, "not connected"),
    (State.PENDING, Reason.WAITING_FOR_DEVICE, EARLIER, "is busy and reports nothing until a pull ends"),
    (State.IN_PROGRESS, Reason.STATUS_UNREADABLE, failed("x is not a valid status"), "that the agent cannot read"),
    (State.IN_PROGRESS, Reason.RUNTIME_UNREACHABLE, failed("Error calling List modules: x"), "does not answer"),
    (State.IN_PROGRESS, Reason.REGISTRY_REFUSED, failed(f"{PULL}unauthorized"), "Check the credentials"),
    (State.IN_PROGRESS, Reason.IMAGE_NOT_FOUND, failed(f"{PULL}manifest unknown"), "no such image"),
    (State.IN_PROGRESS, Reason.WRONG_PLATFORM, failed(f"{PULL}no matching manifest for x"), "architecture"),
    (State.IN_PROGRESS, Reason.DISK_FULL, failed(f"{PULL}no space left on device"), "disk of the device is full"),
    (State.IN_PROGRESS, Reason.REGISTRY_UNREACHABLE, failed(f"{PULL}no such host"), "does not reach the registry"),
    (State.IN_PROGRESS, Reason.PULL_FAILED, failed("Could not pull image"), "cannot be pulled"),
    (State.IN_PROGRESS, Reason.PORT_TAKEN, failed(f"{START}address already in use"), "A port of the module is taken"),
    (State.IN_PROGRESS, Reason.MOUNT_INVALID, failed(f"{START}invalid mount"), "cannot be mounted"),
    (State.IN_PROGRESS, Reason.NETWORK_CONFLICT, failed(f"{START}already exists in network"), "container network"),
    (State.IN_PROGRESS, Reason.START_FAILED, failed("calling start module m1"), "cannot be started"),
    (State.IN_PROGRESS, Reason.CREATE_FAILED, failed("calling create module m1"), "cannot be created"),
    (State.IN_PROGRESS, Reason.UPDATE_FAILED, failed("calling update module m1"), "could not be replaced"),
    (State.IN_PROGRESS, Reason.IDENTITY_FAILED, failed("no identity"), "Check the identity service"),
    (State.IN_PROGRESS, Reason.RUNTIME_BUSY, failed("Could not acquire permit"), "too busy to take another request"),
    (State.IN_PROGRESS, Reason.PULL_TIMED_OUT, {**failed("canceled"), MODULE: GONE}, "the pull probably goes on"),
    (State.IN_PROGRESS, Reason.STEP_TIMED_OUT, failed("canceled"), "answered too late"),
    (State.IN_PROGRESS, Reason.PLAN_FAILED, failed("something"), "words are not known here"),
    (State.IN_PROGRESS, Reason.STOP_FAILED, failed("calling stop module m1"), "cannot be stopped or removed"),
    (State.IN_PROGRESS, Reason.RETRYING, code(406), "waits between two tries"),
    (State.IN_PROGRESS, Reason.STATUS_MISSING, {STATUS: GONE}, "has not said how it went"),
    (State.IN_PROGRESS, Reason.SETTLING, {MODULE: GONE}, "Version 12 is not in force yet: m1. The agent reports"),
    (State.IN_PROGRESS, Reason.AGENT_UPDATING, {f"{AGENT}.settings.image": "old"}, "is replacing itself"),
    (
        State.MODULE_FAILED,
        Reason.GAVE_UP,
        {**is_status("failed"), f"{MODULE}.restartCount": 20, f"{MODULE}.exitCode": 139},
        "Not in their desired status: m1 (failed, exit code 139). The agent gave up on the module",
    ),
    (State.MODULE_FAILED, Reason.NEVER_STARTED, {**is_status("stopped"), **NEVER_STARTED}, "created but never started"),
    (State.MODULE_FAILED, Reason.BACKOFF, is_status("backoff"), "Not in their desired status: m1 (backoff)."),
    (State.MODULE_FAILED, Reason.EXITED, is_status("failed"), "m1 (failed). The module has exited"),
    (State.MODULE_FAILED, Reason.DEAD, is_status("dead"), "m1 (dead)"),
    (State.MODULE_FAILED, Reason.UNHEALTHY, is_status("unhealthy"), "m1 (unhealthy)"),
    (State.MODULE_FAILED, Reason.STILL_RUNNING, {f"{ASKED}.status": "stopped"}, "m1 (running)"),
    (State.MODULE_FAILED, Reason.STATUS_UNKNOWN, {STATUS_OF: GONE}, "m1 (unknown)"),
    (State.SUCCESSFUL, Reason.AS_DESIRED, {}, "Every module is as version 12 wants it."),
    (State.UNCLASSIFIED, Reason.UNKNOWN_CODE, code(418), "is not one of its six: 418."),
]

OF_MODULES_ALONE = {Reason.NOT_DESIRED, Reason.NOT_REPORTED, Reason.FINISHED, Reason.UNMANAGED}
OF_WHAT_IS_STUCK = {Reason.SKIPPED, Reason.AGENT_NOT_UPDATED}
"""A twin alone does not say so: see test_stuck.py."""


@pytest.mark.parametrize(("state", "reason", "changes", "words"), SENTENCES, ids=lambda value: str(value)[:24])
def test_each_state_and_reason_has_its_sentences(
    state: State, reason: Reason, changes: dict[str, Any], words: str
) -> None:
    status = judged(changes)
    assert (state, reason) == (status.state, status.reason)
    assert words in status.message
    assert status.state is State.SUCCESSFUL or reason.advice in status.message


STARTED_BY_NOBODY = "Exited, and not restarted while this lasts: m1 (stopped)."
AGAIN = "The agent waits twice as long after each try."
AT_ONCE = "A restart of edgeAgent, or a version that changes the module, makes it try at once."


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"desired": {}}, "{means} {advice}"),
        ({"moduleId": "$edgeHub"}, "This is the twin of $edgeHub, not of $edgeAgent. {advice}"),
        (code(418), "The code that the agent reports is not one of its six: 418. {advice}"),
        ({"reported": {}}, "The device has not taken version 12. {means} {advice}"),
        (EARLIER, "The device has not taken version 12 and is still at 11. {means} {advice}"),
        (code(417), "The agent took version 12. {means} {advice}"),
        (code(406), "Version 12 is not in force yet. {means} {advice}"),
        (
            {**code(400), f"{ASKED}.status": "started"},
            (
                "The agent rejected version 12. In the manifest: properties.desired.modules.m1.status: "
                '"started" is not valid; use running or stopped. {means} {advice}'
            ),
        ),
        (
            {**code(400), STATUS_OF: "stopped", f"{MODULE}.status": "Running"},
            f"The agent rejected version 12. {{means}} {{advice}} {STARTED_BY_NOBODY}",
        ),
        (
            {**is_status("backoff"), f"{MODULE}.restartCount": 3, f"{MODULE}.exitCode": 1},
            "Not in their desired status: m1 (backoff, exit code 1). {means} {advice} Restart 3 of 20.",
        ),
        (
            {**failed(f"{PULL}no such host"), f"{MODULE}.settings.image": "m1:0"},
            (
                f"Version 12 is not in force yet: m1. {{means}} {{advice}} {AGAIN} {AT_ONCE} "
                f'The agent says: "{PULL}no such host"'
            ),
        ),
        (
            {**code(406), f"{STATUS}.description": "Agent is not running"},
            '{means} {advice} The agent says: "Agent is not running"',
        ),
        (
            {f"{MODULE}.settings.image": "m1:0", STATUS_OF: "backoff", f"{MODULE}.restartCount": 3},
            "Version 12 is not in force yet: m1. {means} {advice}",
        ),
        (
            {**failed(f"{START}no"), STATUS_OF: "stopped"},
            f'Version 12 is not in force yet: m1 (stopped). {{means}} {{advice}} The agent says: "{START}no"',
        ),
        (
            {**failed("Error calling update module edgeAgent: no"), AGENT: GONE, "desired.systemModules.edgeAgent": {}},
            (
                f"Version 12 is not in force yet: $edgeAgent (unknown). {{means}} {{advice}} {AGAIN} {AT_ONCE} "
                'The agent says: "Error calling update module edgeAgent: no"'
            ),
        ),
        (is_status("failed"), "Not in their desired status: m1 (failed). {means} {advice}"),
        (
            {**is_status("backoff"), f"{MODULE}.lastStartTimeUtc": "0001-01-01T00:00:00"},
            "Not in their desired status: m1 (backoff). {means} {advice}",
        ),
        (
            {**is_status("backoff"), f"{MODULE}.restartCount": 0},
            "Not in their desired status: m1 (backoff). {means} {advice}",
        ),
        ({}, "Every module is as version 12 wants it."),
    ],
    ids=lambda value: str(value)[:32],
)
def test_a_message_says_what_is_then_what_it_means_and_what_to_do_and_more_behind(
    changes: dict[str, Any], message: str
) -> None:
    status = judged(changes)
    assert message.format(means=status.reason.means, advice=status.reason.advice) == status.message


def test_every_reason_that_a_device_can_have_is_among_the_sentences() -> None:
    assert {reason for _, reason, _, _ in SENTENCES} == set(Reason) - OF_MODULES_ALONE - OF_WHAT_IS_STUCK


@pytest.mark.parametrize(
    ("state", "changes", "sentence"),
    [
        (ModuleState.SETTLED, {}, "m1 is as desired."),
        (
            ModuleState.SETTLED,
            {f"{ASKED}.restartPolicy": "never", STATUS_OF: "stopped"},
            "m1 is as desired. The module runs once, and has finished successfully.",
        ),
        (
            ModuleState.PENDING,
            {**EARLIER, "connectionState": "Disconnected"},
            "m1 waits for the device to take version 12. IoT Hub says that the device is not connected.",
        ),
        (ModuleState.MISSING, {MODULE: GONE}, "m1 is not on the device; it should run registry.example/m1:1.0."),
        (
            ModuleState.UPDATING,
            {f"{MODULE}.settings.image": "m1:0"},
            "m1 runs m1:0 and should run registry.example/m1:1.0.",
        ),
        (
            ModuleState.WRONG_STATUS,
            {STATUS_OF: "dead", f"{MODULE}.exitCode": 1},
            f"m1 is dead (exit code 1) and should be running. {Reason.DEAD.means} {Reason.DEAD.advice}",
        ),
        (
            ModuleState.WRONG_STATUS,
            {f"{STATUS}.code": 400, STATUS_OF: "stopped", f"{MODULE}.status": "Running"},
            f"m1 is stopped and should be running. {Reason.UNMANAGED.means} {Reason.UNMANAGED.advice}",
        ),
        (
            ModuleState.UNKNOWN,
            {f"{STATUS}.code": 406, f"{STATUS}.description": "Agent is not running"},
            f"What m1 does is not known: the agent does not say. {Reason.AGENT_STOPPED.means}",
        ),
        (
            ModuleState.WRONG_STATUS,
            {STATUS_OF: "backoff", f"{MODULE}.exitCode": 1, f"{MODULE}.restartCount": 3},
            (
                f"m1 is backoff (exit code 1) and should be running. {Reason.BACKOFF.means} Restart 3 of 20. "
                f"{Reason.BACKOFF.advice}"
            ),
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
    assert many_modules(3, "dead").message.startswith("Not in their desired status: m0 (dead), m1 (dead), m2 (dead). ")
    assert "m10 (dead) and 47 more. " in many_modules(50, "dead").message
    assert many_modules(1, "dead").message.startswith("Not in their desired status: m0 (dead). ")


def test_the_most_severe_module_is_named_first() -> None:
    status = judged({STATUS_OF: "dead", "reported.systemModules.edgeHub.runtimeStatus": "backoff"})
    assert status.message.startswith("Not in their desired status: $edgeHub (backoff), m1 (dead). ")
    assert status.reason is Reason.BACKOFF
    named = "Error calling start module a: no) (Error calling create module b: no) (Error calling start module m1: no"
    modules = {name: {"status": "running", "settings": {"image": "m:1"}} for name in ("a", "b", "c")}
    changes = {f"desired.modules.{name}": entry for name, entry in modules.items()}
    failing = judged({**failed(f"One or more errors occurred. ({named})"), **changes})
    assert failing.message.startswith("Version 12 is not in force yet: a, m1 (running), b. ")


EXITED_AT = {f"{MODULE}.lastExitTimeUtc": "2026-01-01T10:40:10"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"restartCount": 0}, "It is started again about 10:40 UTC on 2026-01-01."),
        ({"restartCount": 3}, "Restart 3 of 20, the next about 10:41 UTC on 2026-01-01."),
        ({"restartCount": 7}, "Restart 7 of 20, the next about 10:45 UTC on 2026-01-01."),
        ({"restartCount": 7, "lastExitTimeUtc": GONE}, "Restart 7 of 20."),
        ({"restartCount": 7, "lastExitTimeUtc": "9999-12-31T23:59:59Z"}, "Restart 7 of 20."),
        ({"restartCount": 2, "runtimeStatus": "stopped"}, "It exited about 10:40 UTC on 2026-01-01, after 2 restarts."),
        ({"restartCount": 1, "runtimeStatus": "stopped"}, "It exited about 10:40 UTC on 2026-01-01, after 1 restart."),
        ({"restartCount": -1, "runtimeStatus": "stopped"}, "It exited about 10:40 UTC on 2026-01-01."),
    ],
)
def test_a_module_that_exited_shows_its_restarts_and_when_the_next_one_comes(
    changes: dict[str, Any], words: str
) -> None:
    status = judged({STATUS_OF: "backoff", **EXITED_AT, **{f"{MODULE}.{key}": value for key, value in changes.items()}})
    assert words in status.message
    assert words in status.modules["m1"].message


@pytest.mark.parametrize(
    "changes",
    [
        {STATUS_OF: "backoff", f"{MODULE}.restartCount": 0},
        {STATUS_OF: "backoff", **NEVER_STARTED, **EXITED_AT},
        {f"{ASKED}.status": "stopped", **EXITED_AT},
        {STATUS_OF: "failed"},
    ],
)
def test_where_no_restart_is_known_none_is_shown(changes: dict[str, Any]) -> None:
    message = module(changes).message
    assert [words for words in ("Restart", "started again about", "It exited about") if words in message] == []


@pytest.mark.parametrize(("count", "after"), [(0, ""), (3, ", after 3 restarts")])
def test_a_module_that_nobody_starts_again_shows_when_it_exited_and_no_next_start(count: int, after: str) -> None:
    message = module({**code(400), STATUS_OF: "backoff", f"{MODULE}.restartCount": count, **EXITED_AT}).message
    assert f"It exited about 10:40 UTC on 2026-01-01{after}." in message
    assert [words for words in ("Restart", "started again about") if words in message] == []


TAKEN_AT = {"reported.$metadata.lastDesiredVersion.$lastUpdated": "2026-01-01T09:10:00Z"}


def test_a_failed_pull_shows_about_when_it_is_tried_again_and_what_makes_it_try_at_once() -> None:
    twin = twin_with({**failed(f"{PULL}no such host"), **TAKEN_AT, f"{MODULE}.settings.image": "m1:0"})
    for minutes, when in ((0, "09:10"), (1, "09:11"), (10, "09:20"), (21, "09:31"), (60, "10:35")):
        status = evaluate(twin, now=datetime(2026, 1, 1, 9, 10, tzinfo=UTC) + timedelta(minutes=minutes))
        words = f"The agent tries again about {when} UTC on 2026-01-01. {AT_ONCE}"
        assert words in status.message
        assert words in status.modules["m1"].message


def test_without_a_clock_the_message_says_how_to_count() -> None:
    since = judged({**failed(f"{PULL}no such host"), **TAKEN_AT})
    assert (
        "It first failed about 09:10 UTC on 2026-01-01, and each wait is twice the one before: the next try is about "
        f"as far ahead as that is back. {AT_ONCE}"
    ) in since.message
    assert "The agent waits twice as long after each try." in judged(failed(f"{PULL}no such host")).message


def test_a_restart_of_the_agent_starts_the_tries_again() -> None:
    started = {"reported.$metadata.systemModules.edgeAgent.lastStartTimeUtc.$lastUpdated": "2026-01-01T09:30:00Z"}
    assert "It first failed about 09:30" in judged({**failed(f"{PULL}no such host"), **TAKEN_AT, **started}).message


@pytest.mark.parametrize("description", [f"{START}no", "Error calling stop module m1: no", "something"])
def test_what_is_tried_again_in_the_next_round_shows_no_time(description: str) -> None:
    assert "try at once" not in judged({**failed(description), STATUS_OF: "stopped"}).message


def test_a_wiped_list_shows_no_time_though_its_text_is_a_time_out() -> None:
    assert "try at once" not in judged({**failed("A task was canceled."), **WIPED}).message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({**failed("something odd"), **STALE}, 'The agent says: "something odd"'),
        ({**EARLIER, **FRESH, **failed("something odd")}, 'The agent says: "something odd"'),
        ({**EARLIER, **FRESH, **failed(f"{START}odd")}, f'About version 11 the agent says: "{START}odd"'),
    ],
)
def test_the_agents_words_are_quoted_with_the_version_that_they_are_about(changes: dict[str, Any], words: str) -> None:
    assert words in judged(changes).message


@pytest.mark.parametrize("description", [f"{START}odd", "A task was canceled."])
def test_words_from_before_the_version_are_not_quoted(description: str) -> None:
    for since in (STALE, {"reported.$metadata": GONE}):
        message = judged({**EARLIER, **since, **failed(description)}).message
        assert "says" not in message.partition("IoT Hub")[0]
        assert description not in message


def test_what_is_wrong_in_the_manifest_is_shown_of_a_rejection_and_while_it_is_pending() -> None:
    bad = {f"{ASKED}.status": "started", f"{ASKED}.type": GONE}
    words = "In the manifest: properties.desired.modules.m1.status"
    for changes in (code(400), EARLIER):
        message = judged({**bad, **changes}).message
        assert words in message
        assert '"started" is not valid; use running or stopped (and 1 more).' in message
    assert words not in judged(bad).message


@pytest.mark.parametrize("odd", ["x" * 5000, "\x00\x1b[2J\r\n\u2028\ud800" * 400, "{version} {0} {}", "%s " * 900])
def test_a_message_is_one_printable_line_of_at_most_1024_characters(odd: str) -> None:
    places = (
        {f"{STATUS}.code": 500, f"{STATUS}.description": odd},
        {f"{STATUS}.code": odd},
        {STATUS_OF: odd},
        {f"{ASKED}.status": odd},
        {f"{ASKED}.settings.image": odd},
        {f"{MODULE}.settings.image": odd},
        {"moduleId": odd},
        {f"{STATUS}.code": 400, f"{ASKED}.restartPolicy": odd},
        {f"{STATUS}.code": 400, f"{MODULE}.status": "running", STATUS_OF: odd},
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


def test_a_description_that_is_cut_before_it_is_read_says_so() -> None:
    long = f"{PULL}no such host {'x' * 1_000_000}"
    message = judged(failed(long)).message
    assert f"The agent says, in {len(long):,} characters of which {DESCRIPTION_LIMIT:,} were read: " in message
    assert "characters" not in judged(failed(long[:DESCRIPTION_LIMIT])).message


def test_a_code_of_another_kind_is_shown_by_its_kind_alone() -> None:
    assert "six: <object>." in judged({f"{STATUS}.code": {"password": "hunter2"}}).message
    assert "six: <array>." in judged({f"{STATUS}.code": [1]}).message
    assert "six: none." in judged({f"{STATUS}.code": None}).message


def test_a_module_that_runs_and_should_not_should_be_stopped_and_an_unmanaged_one_should_run() -> None:
    stopped = {f"{ASKED}.status": "stopped"}
    assert module(stopped).message.startswith("m1 is running and should be stopped.")
    unmanaged = {**stopped, f"{STATUS}.code": 400, f"{MODULE}.runtimeStatus": "failed"}
    assert module(unmanaged).message.startswith("m1 is failed and should be running.")


def test_a_version_that_the_twin_does_not_say_is_unknown() -> None:
    assert "version unknown" in judged({"desired.$version": GONE}).message
