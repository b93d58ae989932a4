"""The types of events are made from their schemas, and the examples of the docs use fields that events have."""

import json
import re
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from transition_rows import rows_of_every_kind

from checks.event_models import source
from status_app.events.cloud_event import cloud_event
from status_core import DeploymentEvent, DeviceEvent

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/subscribing.md").read_text()
ASYNCAPI = (ROOT / "schemas/asyncapi.yaml").read_text()


def keys(kind: type) -> set[str]:
    return set(get_type_hints(kind))


def test_the_module_is_what_the_schemas_generate() -> None:
    assert (ROOT / "status_core/events.py").read_text() == source(ROOT / "schemas")


def test_an_event_of_a_deployment_has_the_attributes_of_one_of_a_device() -> None:
    assert keys(DeploymentEvent) == keys(DeviceEvent)


def blocks(language: str) -> list[str]:
    """The code blocks of the page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("language", ["sql", "kql"])
def test_the_queries_of_the_page_ask_for_fields_that_events_have(language: str) -> None:
    (query,) = blocks(language)
    data = keys(get_type_hints(DeviceEvent)["data"])
    used = set(re.findall(r"\bdata\.(\w+)", query))
    assert used
    assert used <= data
    assert set(re.findall(r"\bevent\.(\w+)", query)) <= keys(DeviceEvent)
    named = set(re.findall(r'["\'](edge\.[\w.]+)["\']', query))
    assert named
    assert all(f"{name}.json" in {path.name for path in (ROOT / "schemas").iterdir()} for name in named)


async def test_the_function_of_the_page_handles_a_batch(capsys: pytest.CaptureFixture[str]) -> None:
    import azure.functions as func  # noqa: PLC0415 (of this example alone)

    (example,) = [text for text in blocks("python") if "event_hub_message_trigger" in text]
    names: dict[str, Any] = {}
    exec(compile(example, "docs/subscribing.md", "exec"), names)  # noqa: S102 (our own page)
    rows = rows_of_every_kind()
    bodies = [cloud_event(device, row) for device, found in rows.items() for row in found]
    builder = names["on_transitions"]
    handler = builder._function.get_user_function()  # noqa: SLF001 (as the worker library calls it)
    handler([func.EventHubEvent(body=body) for body in bodies])
    printed = capsys.readouterr().out.splitlines()
    stuck = [body for body in bodies if json.loads(body)["type"].endswith(".stuck")]
    assert len(printed) == len(stuck) > 0
