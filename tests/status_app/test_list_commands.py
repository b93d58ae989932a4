"""`edge-status stuck`, `devices`, `deployments`, `causes` and `images`, over the API and over the tables."""

import asyncio
import csv
import io
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from api_over_tables import KEY, Api, running_api
from app_over_azurite import App, fresh_app
from commands import ROOT, ended

from status_app.commands.exit_codes import ExitCode
from status_app.commands.fleet_status import FleetLists
from status_app.commands.fleet_status.api import ApiFleetStatus
from status_app.commands.fleet_status.tables import TableFleetStatus
from status_app.commands.lists import COLUMNS, Form, print_list, table
from status_app.listing.columns import DEVICES, ListColumn
from status_app.listing.csv_lines import csv_lines


@pytest.fixture
async def app(tables: str) -> AsyncIterator[App]:
    async with fresh_app(tables) as app:
        for number in range(3):
            device = app.put(f"d{number}", "048", configurations={"camera-2": {"status": "Applied"}})
            await app.handle(app.event(device))
        await app.flag_stuck(timedelta(hours=1))
        well = app.put("well", "003")
        await app.handle(app.event(well))
        yield app


QUESTIONS: tuple[tuple[str, Mapping[str, str], int], ...] = (
    ("devices", {"stuck": "true"}, 3),
    ("devices", {"reason": "backoff", "state": "module_failed"}, 3),
    ("devices", {}, 4),
    ("deployments", {}, 1),
    ("causes", {"deployment": "camera-2"}, 1),
    ("images", {}, 2),
)


async def test_a_list_is_the_same_over_the_api_and_over_the_tables_in_every_form(app: App, tables: str) -> None:
    async with running_api(app.services.fleet()) as api:
        over_api, over_tables = ApiFleetStatus(api.url, KEY), TableFleetStatus(tables, clock=lambda: app.now)
        for name, words, count in QUESTIONS:
            items = json.loads(await printed(over_api, name, Form.JSON, **words))
            assert len(items) == count, name
            rows = list(csv.DictReader(io.StringIO(await printed(over_api, name, Form.CSV, **words))))
            assert [column.name for column in COLUMNS[name]] == list(rows[0])
            assert len(rows) == count
            lines = (await printed(over_api, name, Form.TABLE, **words)).splitlines()
            assert len(lines) == 1 + count
            for form in Form:
                assert await printed(over_tables, name, form, **words) == await printed(over_api, name, form, **words)
        await over_tables.close()


async def printed(fleet: FleetLists, name: str, form: Form, **words: str) -> str:
    out = io.StringIO()
    assert await print_list(fleet, name, words, out, form) == 0
    return out.getvalue()


def environment(api: Api) -> dict[str, str]:
    return {"PATH": "", "DEPLOYMENT_STATUS_URL": api.url, "DEPLOYMENT_STATUS_KEY": KEY}


async def test_an_unknown_word_is_refused_with_the_known_ones(app: App, tables: str) -> None:
    async with running_api(app.services.fleet()) as api:
        for settings in (environment(api), {"PATH": "", "STATUS_TABLES": tables}):
            code, lines = await ended(settings, "devices", "--state", "melted")
            assert (code, "state takes one of no_deployment, invalid" in lines[-1]) == (78, True)


async def test_a_command_prints_what_is_stuck(app: App) -> None:
    async with running_api(app.services.fleet()) as api:
        code, lines = await ended(environment(api), "stuck", "--deployment", "camera-2")
        assert (code, lines[0].split()[:2], len(lines)) == (0, ["DEVICE", "STATE"], 4)
        assert all("backoff: m1" in line for line in lines[1:])
        code, lines = await ended(environment(api), "stuck", "--deployment", "another")
        assert (code, lines) == (0, ["none"])


@pytest.mark.parametrize("form", ["--csv", "--json"])
async def test_a_list_whose_reader_is_gone_ends_without_a_message(app: App, form: str) -> None:
    read, write = os.pipe()
    os.close(read)
    async with running_api(app.services.fleet()) as api:
        command = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "status_app", "devices", form,
            cwd=ROOT, env=environment(api), stdout=write, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        os.close(write)
        _, complaint = await command.communicate()
    assert (command.returncode, complaint.decode()) == (ExitCode.CUT_OFF, "")


def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe_and_a_number_gets_none() -> None:
    columns = tuple(map(ListColumn, "abcdef"))
    items: list[Mapping[str, Any]] = [
        {"a": "=1+1", "b": "+x", "c": "-x", "d": "@SUM(A1)", "e": -1, "f": ["-x", "y"]},
        {"a": 'quoted "x", and more', "b": None, "c": False, "d": "two\nlines", "e": {"deviceId": "=d"}, "f": []},
    ]
    assert list(csv.reader(io.StringIO(csv_lines(columns, items)))) == [
        [*"abcdef"],
        ["'=1+1", "'+x", "'-x", "'@SUM(A1)", "-1", "'-x y"],
        ['quoted "x", and more', "", "false", "two\nlines", "'=d", ""],
    ]


def test_a_table_has_no_control_characters_and_fits_into_the_terminal() -> None:
    columns = [column for column in DEVICES if column.title]
    item = {"deviceId": "d\x1b[2J", "state": "pending", "since": "2026-01-31T09:02:10.765432Z", "cause": "x" * 500}
    lines = table(columns, [item], 100)
    assert all(line.isprintable() and len(line) <= 100 for line in lines)
    assert "2026-01-31 09:02:10Z" in lines[1]
    assert table(columns, [], 100) == ["none"]
