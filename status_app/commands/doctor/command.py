"""The command doctor: runs every check of the chain, and prints each result."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from status_app.commands.doctor.api_checks import ADDRESS, check_api
from status_app.commands.doctor.event_hub_checks import DEFAULT_GROUP, check_event_hub
from status_app.commands.doctor.iot_hub_checks import check_route, check_twins
from status_app.commands.doctor.step import Step, Verdict, ok, skipped, wrong
from status_app.commands.doctor.table_checks import TableChecks, trigger_step
from status_app.commands.exit_codes import ExitCode
from status_app.commands.fleet_status.choose_source import api_address
from status_app.commands.terminal import printable
from status_app.errors import SettingError
from status_app.iothub.twins import QUERY_RETRY, TwinReader
from status_app.service_clock import machine_time
from status_app.settings import Settings, check_trigger, read_iot_hub, read_schedules, read_tables
from status_app.storage.client import table_service
from status_app.storage.heartbeats import Heartbeat, Source

ONCE: Final = replace(QUERY_RETRY, attempts=1)
"""A person is waiting: report that the hub throttles queries instead of waiting."""

_APP = ("STATUS_TABLES", "IOT_HUB", "TWIN_CHANGES_HUB", "CONSUMER_GROUP")
_SIGNS = {Verdict.OK: "ok     ", Verdict.WRONG: "WRONG  ", Verdict.SKIPPED: "skipped"}
_SETTINGS = "az functionapp config appsettings list -g GROUP -n APP"


async def doctor(  # noqa: PLR0913 (all but two keyword-only)
    environment: Mapping[str, str],
    echo: Callable[[str], object],
    *,
    url: str | None = None,
    key: str | None = None,
    as_json: bool = False,
    clock: Callable[[], datetime] = machine_time,
    wall_clock: Callable[[], datetime] = machine_time,
) -> ExitCode:
    """Run every check that is possible from here, and print the results.

    Args:
        environment: The settings of the app, DEPLOYMENT_STATUS_URL and DEPLOYMENT_STATUS_KEY, or some of them.
        echo: Prints a line.
        url: The app's address, instead of the environment's.
        key: A function key, instead of the environment's.
        as_json: Print one JSON object instead of lines.
        clock: Returns the time in UTC, for ages.
        wall_clock: Returns the time in UTC, to compare with the table service's.

    Returns:
        OK, FAILED if something is wrong, CONFIG if nothing can be checked.
    """
    steps = []
    async for step in take_steps(environment, url, key, clock, wall_clock):
        steps.append(step)
        if not as_json:
            echo(printable(f"{_SIGNS[step.verdict]}  {step.name}: {step.answer}"))
            if step.mend:
                echo(printable(f"         {step.mend}"))
    asked = [step for step in steps if step.verdict is not Verdict.SKIPPED and step.name != "settings"]
    bad = [step for step in steps if step.verdict is Verdict.WRONG]
    code = ExitCode.FAILED if bad else ExitCode.OK
    if not asked:
        code = ExitCode.CONFIG
    if as_json:
        items = [
            {"name": step.name, "verdict": step.verdict, "asked": step.asked, "answer": step.answer, "mend": step.mend}
            for step in steps
        ]
        echo(json.dumps({"ok": code is ExitCode.OK, "steps": items}, indent=1))
    elif not asked:
        echo("nothing can be checked: set the settings of the app here, or DEPLOYMENT_STATUS_URL")
    else:
        skips = sum(step.verdict is Verdict.SKIPPED for step in steps)
        echo(f"{len(asked)} checked, {len(bad)} wrong, {skips} skipped")
    return code


async def take_steps(
    environment: Mapping[str, str],
    url: str | None,
    key: str | None,
    clock: Callable[[], datetime],
    wall_clock: Callable[[], datetime],
) -> AsyncIterator[Step]:
    """Yield each step in the order of the chain. All links are checked at once: some only time out."""
    yield _settings(environment)
    group = environment.get("CONSUMER_GROUP", "").strip() or DEFAULT_GROUP
    async with asyncio.TaskGroup() as asked:
        iot_hub = asked.create_task(_iot_hub(environment))
        twin_changes = asked.create_task(check_event_hub(environment, "TwinChanges", "TWIN_CHANGES_HUB", group))
        tables = asked.create_task(_tables(environment, clock, wall_clock))
        transitions = asked.create_task(check_event_hub(environment, "Transitions", "TRANSITIONS_HUB"))
        api = asked.create_task(_api(environment, url, key))
        for step in await iot_hub:
            yield step
        incoming, newest = await twin_changes
        yield incoming
        steps, beats = await tables
        for step in steps:
            yield step
        yield trigger_step(beats, newest, clock())
        yield (await transitions)[0]
        for step in await api:
            yield step


def _settings(environment: Mapping[str, str]) -> Step:
    name, asked = "settings", "the app's settings, as set here"
    missing = [setting for setting in _APP if not environment.get(setting, "").strip()]
    if missing:  # each link reports by itself that it cannot be checked
        return skipped(name, asked, f"not set here: {', '.join(missing)}", _SETTINGS)
    try:
        Settings.read(environment)
        check_trigger(environment)
    except SettingError as error:
        return wrong(name, asked, str(error), _SETTINGS)
    return ok(name, asked, "each has a valid value")


async def _iot_hub(environment: Mapping[str, str]) -> list[Step]:
    try:
        iot_hub, hub = read_iot_hub(environment)
        reader = TwinReader(iot_hub, query_retry=ONCE)
    except SettingError as error:
        return [_not_set("IoT hub", error, environment, "IOT_HUB")]
    try:
        return [await check_twins(reader, hub), *await check_route(hub)]
    finally:
        reader.close()


async def _tables(
    environment: Mapping[str, str], clock: Callable[[], datetime], wall_clock: Callable[[], datetime]
) -> tuple[list[Step], Mapping[Source, Heartbeat] | None]:
    try:
        service, schedules = table_service(read_tables(environment)), read_schedules(environment)
    except SettingError as error:
        return [_not_set("tables", error, environment, "STATUS_TABLES")], None
    except ValueError:  # its text may quote a key
        answer = "STATUS_TABLES is neither an https endpoint nor a connection string"
        return [wrong("tables", "a row", answer, _SETTINGS)], None
    async with service:
        checks = TableChecks(service, schedules, clock, wall_clock)
        return [step async for step in checks.run()], checks.heartbeats


async def _api(environment: Mapping[str, str], url: str | None, key: str | None) -> tuple[Step, ...]:
    try:
        address = api_address(environment, url, key)
    except SettingError as error:
        return (wrong("API", "GET /api/health", str(error), ADDRESS),)
    return await check_api(*address)


def _not_set(name: str, error: SettingError, environment: Mapping[str, str], setting: str) -> Step:
    if environment.get(setting, "").strip():
        return wrong(name, setting, str(error), _SETTINGS)
    return skipped(name, setting, str(error))
