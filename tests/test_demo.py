"""`make demo` prints what the troubles of the fleet come to, and leaves nothing behind."""

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from azure.core.messaging import CloudEvent
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # its types are a package of their own, for this one call
from referencing import Registry as SchemaRegistry
from referencing import Resource
from running_demo import start

from local.demo.rollout import START
from local.fleet import Trouble, mixed_fleet
from local.iothub import Registry

ROOT = Path(__file__).parents[1]
DEVICES = 12
EVENTS_OF_A_DEVICE = 1100 / 40 / 2
"""Half of what the demo of forty devices published while each change of a state was an event."""
# Where release 2 still meets its trouble at the end: the state, the reason, and what of the device is stuck.
UNSOLVED = {
    Trouble.CRASHING_MODULE: ("module_failed", "backoff", "/vision"),
    Trouble.HANGING_PULL: ("in_progress", "pull_timed_out", "/vision"),
    Trouble.OLD_AGENT: ("invalid", "schema_version_rejected", ""),
}
# What is repaired after it was stuck.
SOLVED = {Trouble.OFF: "", Trouble.REFUSED_PULL: "/vision"}


def table(out: str, head: str) -> list[list[str]]:
    """The cells of the table whose head begins with a word."""
    lines = out.partition(f"\n{head} ")[2].partition("\n\n")[0].splitlines()[1:]
    return [re.split(r"  +", line) for line in lines if not line.startswith("(")]


def test_the_demo_prints_what_the_troubles_of_the_fleet_come_to(tmp_path: Path) -> None:
    registry = Registry(lambda: START, lambda _change: None)
    _, troubles = mixed_fleet(registry, DEVICES, START)
    assert set(troubles.values()) == set(Trouble)
    published = tmp_path / "events.jsonl"
    with start(tmp_path, "--devices", str(DEVICES), "--events", str(published)) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert "\nok       key and version: the key opens it; the app is " in out
    assert "\n15 checked, 0 wrong, 1 skipped\n" in out
    messages = out.partition("\nThese messages would have been sent to people:\n")[2]
    assert "\n  Deployment release-2 has started\n" in messages
    assert "\n  Deployment release-2: 1 device fails due to schema_version_rejected\n" in messages
    assert "\n  Deployment release-2: no device fails any more due to never_reported\n" in messages
    events = [json.loads(line) for line in published.read_text().splitlines()]
    assert dict(table(out, "PUBLISHED")) == {
        name: str(count) for name, count in Counter(event["type"] for event in events).items()
    }
    assert_every_event_is_valid_by_its_schema(events)
    assert len(events) < EVENTS_OF_A_DEVICE * DEVICES

    unsolved = {device: UNSOLVED[trouble] for device, trouble in troubles.items() if trouble in UNSOLVED}
    solved = {device + SOLVED[trouble] for device, trouble in troubles.items() if trouble in SOLVED}
    stuck = {device + part for device, (_, _, part) in unsolved.items()}
    assert {row[0]: row[1:3] for row in table(out, "DEVICE")} == {
        device: [state, reason] for device, (state, reason, _) in unsolved.items()
    }
    counts = dict(table(out, "STATE"))
    assert counts.pop("successful") == str(DEVICES - len(unsolved))
    assert sorted(counts) == sorted(state for state, _, _ in unsolved.values())
    assert {row[0]: row[-1] for row in table(out, "STUCK")} == {
        device + part: reason for device, (_, reason, part) in unsolved.items()
    }
    turns = re.findall(r"^\d\d:\d\d  (STUCK|RECOVERED) +(\S+):", out, re.MULTILINE)
    assert {name for turn, name in turns if turn == "STUCK"} == stuck | solved
    assert {name for turn, name in turns if turn == "RECOVERED"} == solved
    assert len(turns) == len(stuck) + 2 * len(solved)


def assert_every_event_is_valid_by_its_schema(events: Sequence[Mapping[str, Any]]) -> None:
    files = [json.loads(path.read_bytes()) for path in (ROOT / "schemas").glob("*.json")]
    schemas: SchemaRegistry[Any] = SchemaRegistry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in files
    )
    assert len({event["id"] for event in events}) == len(events)
    for event in events:
        Draft202012Validator({"$ref": event["dataschema"]}, registry=schemas).validate(event["data"])
        assert CloudEvent.from_dict(dict(event)).type == event["type"]


@pytest.mark.parametrize("moment", ["Starting Azurite", "08:01"])
def test_an_interrupt_stops_all_of_the_demo(tmp_path: Path, moment: str) -> None:
    with start(tmp_path, "--devices", str(DEVICES)) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith(moment):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (130, "\nstopped\n")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # none of its processes is left


def test_missing_npm_packages_are_reported(tmp_path: Path) -> None:
    for folder in ("local", "status_app", "status_core"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    with start(tmp_path, cwd=tmp_path) as process:
        _, err = process.communicate()
    assert (process.returncode, err) == (2, "demo: Azurite is missing: run `npm ci`\n")
