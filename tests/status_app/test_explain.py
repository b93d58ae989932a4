"""The explanation of a device: of every golden twin, and of special cases."""

import json
import re
from datetime import timedelta
from typing import Any

from app_over_azurite import CASES, DELETED, SECRET, App

from status_app.commands.exit_codes import ExitCode
from status_app.commands.explain.command import explain
from status_app.commands.fleet_status.tables import TableFleetStatus

GRACE = timedelta(minutes=15)
BACKOFF, SUCCESSFUL, PENDING, INVALID, PULLING, NONE = "048", "003", "002", "007", "026", "016"


async def explained(app: App, device: str, *, as_json: bool = False) -> tuple[ExitCode, str]:
    """The exit code of the command, and its output."""
    fleet, lines = TableFleetStatus(app.environment["STATUS_TABLES"]), list[str]()
    try:
        code = await explain(fleet, device, lines.append, now=app.now, as_json=as_json)
    finally:
        await fleet.close()
    return code, "\n".join(lines)


async def seen(app: App, case: str, *, stuck: bool = False) -> str:
    """A device with the twin of a case, that the app knows."""
    device = app.put(f"d{case}", case)
    await app.handle(app.event(device))
    if stuck:
        await app.flag_stuck(GRACE)
    return device


async def test_every_golden_twin_is_explained_and_needs_a_person_unless_it_is_at_rest(app: App) -> None:
    for path in sorted(CASES.glob("*.json")):
        device = app.put(path.stem, path.name[:3])
        await app.handle(app.event(device))
        code, text = await explained(app, device)
        state = json.loads(path.read_bytes())["expected"]["state"]
        is_at_rest = state in ("successful", "no_deployment")
        assert (code is ExitCode.OK) is is_at_rest, path.name
        assert text.startswith(f"{device} is {state} since "), path.name
        assert ("What to do:" in text) is not is_at_rest
        assert "None" not in text, path.name
        assert "{" not in text or "{" in path.read_text(), path.name


async def test_a_crash_loop_comes_with_its_evidence_the_hubs_counters_and_the_next_step(app: App) -> None:
    code, text = await explained(app, await seen(app, BACKOFF, stuck=True))
    assert code is ExitCode.FAILED
    assert "Something on it has been stuck since " in text
    assert "IoT Hub's own counters count it as successful: they look only at the agent's code" in text
    assert "Applied: at-scale1.\nTargeted only: at-scale2." in text
    assert re.search(r"^  m1: wrong_status since .*, backoff, stuck since .*Z\.$", text, re.MULTILINE)
    assert 'm1.runtimeStatus is "backoff"; compared with "running" (properties.desired.modules.m1.status)' in text
    assert "m1: stuck (backoff)" in text
    assert "  backoff (m1):\n    1. Read the module's logs, on the device: `sudo iotedge logs m1 --tail 200`" in text


async def test_the_hubs_own_counters_are_set_beside_the_state(app: App) -> None:
    for case, counters in {
        SUCCESSFUL: "count it as successful too",
        PENDING: "count it as applied, neither successful nor failed",
        PULLING: "count it as failed: the agent's code is not 200",
        NONE: "do not count it",
    }.items():
        _, text = await explained(app, await seen(app, case))
        assert f"IoT Hub's own counters {counters}" in text


async def test_the_modules_of_a_device_that_has_not_taken_the_version_are_not_known(app: App) -> None:
    _, text = await explained(app, await seen(app, PENDING, stuck=True))
    assert "m1: not known; the device's report does not cover them." in text
    assert "What to do:\n  device_disconnected:\n" in text


async def test_before_the_grace_period_is_over_its_end_is_shown(app: App) -> None:
    _, text = await explained(app, await seen(app, BACKOFF))
    assert re.search(r"m1: wrong_status since .*, backoff, stuck from .*Z on\.", text)


async def test_a_recovering_device_is_not_all_right_yet(app: App) -> None:
    device = await seen(app, BACKOFF, stuck=True)
    app.report(device, timedelta(seconds=10), runtimeStatus="running")
    await app.handle(app.event(device))
    code, text = await explained(app, device)
    assert code is ExitCode.FAILED
    assert f"{device} is successful since" in text
    assert "m1: settled since" in text
    assert text.splitlines()[-1].startswith("Wait: what was stuck is as desired again")
    await app.flag_stuck(timedelta(minutes=11))
    assert (await explained(app, device))[0] is ExitCode.OK


async def test_an_unverified_flag_is_shown_as_one(app: App) -> None:
    device = await seen(app, BACKOFF)
    app.hub.down = {device}
    await app.flag_stuck(GRACE)
    _, text = await explained(app, device)
    assert "backoff_unverified" in text
    assert "The hub did not answer at the last read: check the app's own access to it." in text


async def test_an_unknown_device_has_a_code_of_its_own_with_or_without_a_history(app: App) -> None:
    assert await explained(app, "nobody") == (
        ExitCode.UNKNOWN,
        "nobody is not known. A device becomes known with its first twin change or the next resync.",
    )
    device = await seen(app, SUCCESSFUL)
    del app.hub.twins[device]
    await app.handle(app.event(device, **DELETED))
    code, text = await explained(app, device)
    assert code is ExitCode.UNKNOWN
    assert text.splitlines()[:2] == [f"{device} is no longer in the hub.", "Last transitions:"]
    assert "device: deleted (deleted)" in text


async def test_with_json_the_output_is_the_answer_of_the_api(app: App) -> None:
    for case, code in ((SUCCESSFUL, ExitCode.OK), (BACKOFF, ExitCode.FAILED)):
        device = await seen(app, case)
        found, text = await explained(app, device, as_json=True)
        answer: dict[str, Any] = json.loads(text)
        assert (found, answer["deviceId"]) == (code, device)
        assert {module["module"] for module in answer["moduleStates"]} == {"$edgeHub", "m1"}
    assert await explained(app, "nobody", as_json=True) == (ExitCode.UNKNOWN, "null")


async def test_no_secret_of_a_twin_and_no_control_character_is_printed(app: App) -> None:
    device = app.put("d", BACKOFF)
    desired = app.hub.twins[device]["properties"]["desired"]
    desired["modules"]["m\u202e1"] = desired["modules"].pop("m1") | {"env": {"TOKEN": {"value": SECRET}}}
    await app.handle(app.event(device))
    _, text = await explained(app, device)
    assert SECRET not in text
    assert all(line.isprintable() and line.isascii() for line in text.splitlines())
