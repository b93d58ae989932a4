"""notify-test: one message to one target, and what came back."""

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from webhook_target import WebhookTarget, webhook_target

from status_app.commands.exit_codes import ExitCode
from status_app.commands.notify_test import notify_test
from status_app.errors import SettingError
from status_app.notify.targets import read_targets
from status_app.notify.webhook import Webhooks

ROOT = Path(__file__).parents[2]
NOW = datetime(2024, 5, 2, 9, 10, tzinfo=UTC)


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[WebhookTarget, Webhooks]]:
    async with webhook_target(tmp_path, timeout=60.0) as found:
        yield found


def environment(url: str, kind: str = "slack") -> dict[str, str]:
    return {
        "IOT_HUB": "hub1.azure-devices.net",
        "STATUS_TABLES": "https://tables.example.com",
        "TRANSITIONS_HUB": "transitions",
        "Transitions": "ns.servicebus.windows.net",
        "OPS_URL": url,
        "NOTIFY": json.dumps([{"name": "ops", "format": kind, "urlSetting": "OPS_URL"}]),
    }


@pytest.mark.parametrize("kind", ["slack", "teams", "cloudevents"])
async def test_a_message_arrives_in_the_form_of_the_target(both: tuple[WebhookTarget, Webhooks], kind: str) -> None:
    lines: list[str] = []
    target, webhooks = both
    assert await notify_test(environment(target.url(), kind), "ops", lines.append, NOW, webhooks) is ExitCode.OK
    assert lines == ["target ops accepted it: answer 202"]
    (got,) = target.taken
    assert got.id == "hub1/notify-test/ops/20240502T091000000000Z"
    assert ("notify-test" in str(got.body)) or got.body["type"] == "edge.deployment.notify_test"


async def test_the_answer_of_a_target_is_printed_without_its_address(both: tuple[WebhookTarget, Webhooks]) -> None:
    lines: list[str] = []
    target, webhooks = both
    target.answers = [web.Response(status=404, text=f"no {target.url()}")]
    assert await notify_test(environment(target.url()), "ops", lines.append, NOW, webhooks) is ExitCode.FAILED
    assert lines == ["target ops is unavailable: answer 404: no ***"]


async def test_an_unknown_target_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingError, match="NOTIFY has no target 'chat': its targets are: ops"):
        await notify_test(environment("https://example.com"), "chat", print, NOW)


def test_the_command_sends_nothing_to_this_machine() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "status_app", "notify-test", "ops"],
        cwd=ROOT,
        env={**os.environ, **environment("https://127.0.0.1:9/hunter2")},
        capture_output=True,
        text=True,
        check=False,
    )
    refusal = "target ops is unavailable: its address is on this machine or its link\n"
    assert (result.returncode, result.stdout) == (1, refusal)


def test_the_examples_of_the_page_are_targets() -> None:
    known = dict.fromkeys(("TEAMS_URL", "SLACK_URL", "INCIDENTS_URL"), "https://example.com/x")
    known |= {"INCIDENTS_KEY": "k", "TRANSITIONS_HUB": "transitions"}
    page = (ROOT / "docs/notify.md").read_text()
    examples = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    found = [read_targets({**known, "NOTIFY": text}) for text in examples]
    assert [[target.name for target in targets] for targets in found] == [["ops", "canary", "incidents"], ["grid"]]
    (command,) = re.findall(r"azd env set NOTIFY '(.+)'", page)
    assert read_targets({**known, "NOTIFY": command})[0].name == "ops"
