"""Log lines: they end with their fields, and stay one line whatever a device is called."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from app_over_azurite import CASES, App

from local.clock import utc_now
from local.stack import running_stack
from status_app.reconcile.twin_changes import MAX_RETRIES
from status_app.telemetry.logs import about, log

TWIN = json.loads((CASES / "048_200_module_backoff.json").read_bytes())["twin"]
_log = log("status_app.test")


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="status_app")


def fields(line: str) -> dict[str, Any]:
    """The fields of a line, as docs/telemetry.md finds them."""
    found = re.search(r"(\{\".*\})$", line)
    return json.loads(found[1]) if found else {}


def test_a_line_ends_with_what_it_is_about(caplog: pytest.LogCaptureFixture) -> None:
    with about(invocation="i1"):
        with about(device="d1"):
            _log.info("%d of %s", 1, "2", extra={"deployments": ["a", "b"]})
        _log.info("100 % of nothing")
    _log.info("outside")
    assert caplog.messages == [
        '1 of 2 {"invocation": "i1", "device": "d1", "deployments": ["a", "b"]}',
        '100 % of nothing {"invocation": "i1"}',
        "outside",
    ]
    record: Any = caplog.records[0]
    assert (record.invocation, record.device, record.deployments) == ("i1", "d1", ["a", "b"])


@pytest.mark.parametrize("name", ["100%s", "{}", "a\nb", 'a"b', "\x1b[31m", "\u2028", "\udc80", "grün"])
def test_any_name_can_be_read_from_one_printable_line(caplog: pytest.LogCaptureFixture, name: str) -> None:
    with about(device=name):
        _log.warning("%s of %s", "one", "two")
        _log.warning("plain")
    for line in caplog.messages:
        assert line.isprintable()
        assert fields(line) == {"device": name}


async def test_every_line_about_a_hostile_device_is_one_line_and_names_it(
    tables: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(tables)
    device = app.put("d\r\nforged line\x1b[2J", "048")
    for section in ("desired", "reported"):
        modules = app.hub.twins[device]["properties"][section]["modules"]
        modules["m1\nforged line"] = modules.pop("m1")
    for status in ("running", "backoff"):
        with app.edit(device, timedelta(minutes=1)) as reported:
            reported["modules"]["m1\nforged line"]["runtimeStatus"] = status
        await app.handle(app.event(device))
    app.hub.down.add(device)
    await app.handle(app.event(device, json.dumps({"version": 10}).encode()), attempt=MAX_RETRIES)
    await app.close()
    lines = [line for line in caplog.messages if not line.startswith("batch of")]
    assert [line for line in lines if "dead-lettered" in line]
    assert [line for line in lines if fields(line).get("deployments") == ["at-scale1"] and "m1 forged line" in line]
    for line in lines:
        assert line.isprintable()
        assert fields(line)["device"] == device


async def test_the_lines_of_an_invocation_have_its_id(
    tables: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_stack(tmp_path, tables, utc_now) as stack:
        stack.iot_hub.registry.put(TWIN)
        await stack.drained()
        await stack.host.run_timer("flag_stuck")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("status_app")]
    ids = {re.split(r"[ :]", line)[0]: fields(line).get("invocation") for line in reversed(lines)}
    assert ids["batch"] == ids["device"]
    assert ids["batch"] != ids["flag_stuck"]
    assert None not in ids.values()
    assert f"device {TWIN['deviceId']!r} device: absent -> module_failed (backoff)" in " ".join(lines)
