"""README and docs are right: their examples run, and their lists are those of the code."""

import asyncio
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import TableServiceClient
from azure.data.tables.aio import TableServiceClient as AsyncTableServiceClient

from checks.settings import settings_of_the_code
from local.routed_event import RoutedEvent
from local.scenario import read_scenario
from local.stack import TRANSITIONS, running_stack
from status_app.reconcile.resync_position import Cycle, ResyncPosition
from status_app.reconcile.resync_times import ComparisonPlace, ResyncTimesRow
from status_app.settings import SHARED, Settings
from status_app.storage.codecs import TEXT
from status_app.storage.columns import (
    CAUSE_COLUMNS,
    DEPLOYMENT_COLUMNS,
    DEVICE_COLUMNS,
    LISTING_COLUMNS,
    MODULE_COLUMNS,
    NOTICE_COLUMNS,
    TARGET_COLUMNS,
    TRANSITION_COLUMNS,
    Column,
)

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLE = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
TWIN = json.loads((ROOT / "tests/cases/048_200_module_backoff.json").read_text())["twin"]
SUCCESSFUL = json.loads((ROOT / "tests/cases/090_layers_all_applied.json").read_text())["twin"]
# A device whose name is the one in the examples.
DEVICE = "DEVICE"
# What the functions host reads for itself.
OF_THE_HOST = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"}


@pytest.fixture(scope="module")
def written(tables: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """The columns of each table that the app wrote for two devices, their deployments, and an event that is none."""

    async def run() -> None:
        folder = tmp_path_factory.mktemp("stack")
        async with running_stack(folder, tables, lambda: datetime.now(UTC)) as stack:
            stack.iot_hub.registry.set_tags(DEVICE, {"ring": "canary"})
            stack.iot_hub.registry.put(TWIN | {"deviceId": DEVICE})
            stack.send(RoutedEvent(b"x" * 100_000, "", {"opType": "none of a twin"}))
            stack.iot_hub.registry.put(SUCCESSFUL | {"deviceId": "successful"})
            await stack.host.drained()
            stack.event_hubs.faults.refuse(TRANSITIONS, 10**6)
            await stack.host.run_timer("flag_stuck")
            await stack.host.run_timer("resync")
            stack.iot_hub.registry.put(SUCCESSFUL | {"deviceId": "successful", "configurations": {}})
            await stack.host.drained()  # a change that is not counted yet
        async with AsyncTableServiceClient.from_connection_string(tables) as service:
            index = service.get_table_client("DeploymentIndex")
            await ResyncPosition(index).write(Cycle("continuation"), [1])
            times = ResyncTimesRow(index, {})
            found = await times.read()
            found.comparison_began, found.place = datetime.now(UTC), ComparisonPlace(0, "summary|device")
            await times.write(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COHORT_TAGS", "ring")
        asyncio.run(run())
    with TableServiceClient.from_connection_string(tables) as service:
        letters = service.get_table_client("DeadLetter").list_entities()
        names = {name for letter in letters for name in letter}
        index = service.get_table_client("DeploymentIndex").list_entities()
        return {
            "DeploymentIndex": {re.sub(r"^Digests[0-9]+$", "Digests", name) for row in index for name in row},
            "DeadLetter": {re.sub(r"^Body\d+$", "Body", name) for name in names},
        }


def blocks(language: str) -> list[str]:
    """The fenced blocks of README in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def shell_commands(page: Path) -> list[str]:
    """The indented commands of a page, each in one line."""
    text = page.read_text().replace("\\\n", " ")
    return [line.strip() for line in re.findall(r"^    (?! )(.+)$", text, re.MULTILINE)]


def az_commands() -> list[tuple[str, dict[str, list[str]]]]:
    """Each az command of the documents: its name, and its flags with their values."""
    found = []
    for command in (command for page in PAGES for command in shell_commands(page) if command.startswith("az ")):
        name, *flags = re.split(r" +(?=--)", command.partition(" | ")[0])
        words = [shlex.split(flag) for flag in flags]
        found.append((name, {flag: values for flag, *values in words}))
    return found


def cells(text: str, heading: str) -> list[str]:
    """The first cell of each row of the table under a heading."""
    section = text.partition(f"{heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def test_the_python_example_prints_a_device_and_its_modules(
    tables: str, written: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert written
    service = dict(part.partition("=")[::2] for part in tables.split(";"))
    credential = AzureNamedKeyCredential(service["AccountName"], service["AccountKey"])
    monkeypatch.setattr("azure.identity.DefaultAzureCredential", lambda: credential)
    (example,) = blocks("python")
    names: dict[str, Any] = {}
    exec(example.replace("https://ACCOUNT.table.core.windows.net", service["TableEndpoint"]), names)  # noqa: S102 (our own example)
    names["table"].close()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("device module_failed backoff ")
    assert {line.split()[0] for line in printed[1:]} == {"module:$edgeHub", "module:m1"}


def test_the_query_of_az_finds_the_device_with_its_columns(tables: str, written: object) -> None:
    assert written
    flags = next(flags for name, flags in az_commands() if name == "az storage entity query")
    with TableServiceClient.from_connection_string(tables) as service:
        table = service.get_table_client(*flags["--table-name"])
        found = list(table.query_entities(*flags["--filter"], select=flags["--select"]))
    assert [set(row) for row in found if row["PartitionKey"] == DEVICE] == [set(flags["--select"])]


def test_what_az_gives_of_a_fleet_is_printed_for_people_and_the_twin_that_it_shows_gets_a_state() -> None:
    fleet, device = (command.partition(" | ")[2] for command in shell_commands(PAGES[0]) if " | " in command)
    assert "2 devices: 1 module_failed, 1 successful" in piped(fleet, [TWIN, SUCCESSFUL])
    assert json.loads(piped(device, TWIN))["state"] == "module_failed"


def piped(command: str, twins: Any) -> str:
    """What our command makes of twins, as its example calls it."""
    _, *arguments = shlex.split(command)
    result = subprocess.run(  # noqa: S603 (our own example)
        [sys.executable, *arguments], cwd=ROOT, input=json.dumps(twins), capture_output=True, text=True, check=True
    )
    return result.stdout


def test_the_lines_of_the_replay_example_are_steps() -> None:
    (example,) = blocks("json lines")
    assert [step.kind for step in read_scenario(example)] == ["twin", "delete"]


def test_the_settings_page_and_the_example_name_what_the_code_reads_and_nothing_else() -> None:
    code = settings_of_the_code(ROOT)
    assert set(cells((ROOT / "docs/settings.md").read_text(), "# Settings")) == code
    assert set(EXAMPLE) - OF_THE_HOST == code


def test_the_defaults_of_the_settings_page_are_those_of_the_code_and_of_the_example() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    defaults = dict(re.findall(r"^\| `(\w+)` \|.*\| `([^`]+)` \|$", page, re.MULTILINE))
    assert defaults == {name: EXAMPLE[name] for name in defaults}
    required = {"IOT_HUB": "hub.example.com", "STATUS_TABLES": "https://tables.example.com"}
    as_without = replace(Settings.read(required), shared={name: defaults[name] for name in SHARED if name in defaults})
    assert Settings.read({**required, **defaults}) == as_without


@pytest.mark.parametrize(
    ("heading", "columns"),
    [
        ("## DeploymentStatus, row `device`", DEVICE_COLUMNS),
        ("## DeploymentStatus, rows `module:<name>`", MODULE_COLUMNS),
        ("## DeploymentStatus, rows `transition:<inverted sequence>`", TRANSITION_COLUMNS),
        ("## Notices", (*NOTICE_COLUMNS, *CAUSE_COLUMNS, *TARGET_COLUMNS)),
        (
            "## Deployments",
            (
                *(*DEPLOYMENT_COLUMNS, *LISTING_COLUMNS),
                *(Column(name, "", TEXT) for name in ("Body", "ListedAt", "Point")),
            ),
        ),
    ],
)
def test_the_tables_page_lists_the_columns_of_a_row(heading: str, columns: Sequence[Column]) -> None:
    listed = cells((ROOT / "docs/tables.md").read_text(), heading)
    assert len(listed) == len(set(listed))
    assert set(listed) == {"PartitionKey", "RowKey", *(column.name for column in columns)}


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("## DeploymentIndex", "DeploymentIndex"),
        ("## DeadLetter", "DeadLetter"),
    ],
)
def test_the_tables_page_lists_the_columns_that_the_app_writes(
    written: Mapping[str, set[str]], heading: str, kind: str
) -> None:
    listed = cells((ROOT / "docs/tables.md").read_text(), heading)
    assert len(listed) == len(set(listed))
    assert set(listed) == written[kind]
