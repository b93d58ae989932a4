"""A client made of schemas/openapi.yaml asks the running app, as a program of somebody else does."""

import asyncio
import json
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped] # its types are a package of their own, for this one call
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # as above
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from local.stack import running_stack

ROOT = Path(__file__).parents[2]
TWIN = json.loads((ROOT / "tests/cases/048_200_module_backoff.json").read_text())["twin"]
KEY = "a-key"
DEVICE = "-.+%_#*?!(),:=@$'aZ9"
"""Every kind of character that IoT Hub allows in the id of a device."""


class Clock:
    """Soon after the time of the twin, then as late as its modules are stuck."""

    def __init__(self) -> None:
        self.now = datetime.fromisoformat("2024-05-02T09:10:00Z")

    def __call__(self) -> datetime:
        return self.now


async def asked(*arguments: str) -> Any:
    """What the client prints."""
    process = await asyncio.create_subprocess_exec(
        "node", str(Path(__file__).with_name("questions.mjs")), *arguments, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(printed)


@cache
def document() -> Any:
    """The document that the client is made of."""
    return yaml.safe_load((ROOT / "schemas/openapi.yaml").read_text())


def validator(path: str) -> Any:
    """A validator of an answer, by the document."""
    registry: Any = Registry().with_resource("urn:openapi", DRAFT202012.create_resource(document()))
    pointer = path.replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
    schema = f"urn:openapi#/paths/{pointer}/get/responses/200/content/application~1json/schema"
    return Draft202012Validator({"$ref": schema}, registry=registry)


async def test_a_generated_client_gets_an_answer_to_every_question(tables: str, tmp_path: Path) -> None:
    clock = Clock()
    async with running_stack(tmp_path, tables, clock, function_key=KEY) as stack:
        stack.iot_hub.registry.put(TWIN | {"deviceId": DEVICE})
        await stack.drained()
        clock.now += timedelta(hours=1)
        await stack.host.run_timer("flag_stuck")
        await stack.host.run_timer("resync")
        printed = await asked(stack.api, KEY, DEVICE, "at-scale1")
    assert printed["answers"].keys() == document()["paths"].keys()
    for path, answer in printed["answers"].items():
        assert answer["status"] == 200, (path, answer)
        if path == "/metrics":
            assert "edge_deployment_devices" in answer["body"]
            continue
        validator(path).validate(answer["body"])
        assert answer["body"].get("items", True), path
    assert printed["answers"]["/devices/{deviceId}"]["body"]["deviceId"] == DEVICE
    assert printed["modules"] == ["m1 wrong_status backoff"]
    assert "limit" in printed["refused"]
