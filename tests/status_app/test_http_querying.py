"""docs/querying.md: its examples run, and its table has the paths of the API."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml  # type: ignore[import-untyped] # its types are a package of their own, for this one call

from local.clock import utc_now
from local.stack import Stack, running_stack

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/querying.md").read_text()
TWIN = json.loads((ROOT / "tests/cases/048_200_module_backoff.json").read_text())["twin"]
KEY = "a-key"


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tables: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running_stack(tmp_path_factory.mktemp("stack"), tables, utc_now, function_key=KEY) as stack:
        for device in ("edge-01", "edge-02"):
            stack.iot_hub.registry.put(TWIN | {"deviceId": device})
        await stack.drained()
        await stack.host.run_timer("flag_stuck")
        yield stack


async def output(stack: Stack, *command: str) -> str:
    """What a command prints that has the address and the key in its environment."""
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, "API": stack.api, "KEY": KEY}, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed.decode()


@pytest.mark.asyncio(loop_scope="module")
async def test_every_command_of_the_page_gets_an_answer_with_items(stack: Stack) -> None:
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    asked = "\n".join(re.findall(r'"\$API([^"?]+)', command)[0] for command in commands)
    for pattern, name in (("edge-01", "deviceId"), ("at-scale1", "deploymentId"), ("(?<=/)[0-9a-f]{16}", "causeId")):
        asked = re.sub(pattern, f"{{{name}}}", asked)
    assert {f"/api{path}" for path in asked.splitlines()} == set(table()) - {"/api/metrics"}  # it is no JSON
    for command in commands:
        answer = json.loads(await output(stack, "sh", "-c", command))
        assert "detail" not in answer
        assert "stuckBefore" in command or answer.get("items", True)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_program_of_the_page_goes_through_all_pages(stack: Stack) -> None:
    (program,) = blocks("python")
    small = program.replace('"limit": "200"', '"limit": "1"')
    assert small != program
    for text in (program, small):
        printed = (await output(stack, sys.executable, "-c", text)).splitlines()
        assert [line.split()[1:] for line in printed] == [["edge-01", "m1", "backoff"], ["edge-02", "m1", "backoff"]]


def table() -> list[str]:
    return re.findall(r"^\| `(/api/[^`]+)` \|", PAGE, re.MULTILINE)


def test_the_page_names_every_path_of_the_document_and_no_other() -> None:
    document = yaml.safe_load((ROOT / "schemas/openapi.yaml").read_text())
    assert table() == [f"/api{path}" for path in document["paths"]]
