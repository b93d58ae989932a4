"""The messages that people read, in which the words of devices are only text."""

import json
from typing import Any

import pytest

from status_app.notify.formats import render
from status_app.notify.notes import Stage, cause_notice, note
from status_app.notify.targets import Format, Target
from status_core import Milestone

HOSTILE = "<!channel> @channel [here](https://evil.example) *b* & <https://evil.example|x>\x00\n# big"


def cause(stage: Stage, **more: Any) -> bytes:
    data: dict[str, Any] = {
        "deployment": "camera-2",
        "version": 1,
        "cohort": "",
        "cause": "image_not_found: vision, registry.example.com/vision:2",
        "stage": stage,
        "before": 0 if stage is Stage.FIRST else 40,
        "devices": {Stage.FIRST: 40, Stage.MORE: 400, Stage.OVER: 0}[stage],
    }
    if stage is not Stage.OVER:
        data |= {"examples": ["edge-01", "edge-02"], "since": "2024-05-02T12:10:00Z", "message": "m"}
        data |= {"peers": "p", "advice": "a"}
    return cause_notice("id", "2024-05-02T12:12:00Z", "error", data | more)


def milestone(name: str) -> bytes:
    data = {"deployment": "camera-2", "version": 1, "devices": 3, "successful": 1, "failing": 1}
    data |= {"states": {"module_failed": 1, "pending": 1, "successful": 1}}
    event = {"id": "i", "type": f"edge.deployment.{name}", "severity": "info", "time": "2024-05-02T12:12:00Z"}
    return json.dumps(event | {"data": data}).encode()


def text(body: bytes) -> str:
    return note(json.loads(body), "north").text


def test_a_cause_comes_with_its_devices_and_what_to_do() -> None:
    assert text(cause(Stage.FIRST)).splitlines() == [
        "Deployment camera-2: 40 devices fail due to image_not_found: vision, registry.example.com/vision:2",
        "Devices: 40",
        "For instance: edge-01, edge-02",
        "Since: 2024-05-02T12:10:00Z",
        "What happened: m",
        "Across the fleet: p",
        "What to do: a",
        "Version: 1",
        "Fleet: north",
        "Time: 2024-05-02T12:12:00Z",
    ]
    assert text(cause(Stage.FIRST, devices=1)).startswith("Deployment camera-2: 1 device fails due to")
    assert "Across the fleet" not in text(cause(Stage.FIRST, peers=None))


def test_more_devices_and_no_more_devices_are_compared_with_the_message_before() -> None:
    assert text(cause(Stage.MORE)).startswith("Deployment camera-2: now 400 devices fail due to image_not_found")
    assert "Devices: 400 (40 in the last message)" in text(cause(Stage.MORE))
    over = text(cause(Stage.OVER, since="2024-05-02T12:11:00Z"))
    assert over.startswith("Deployment camera-2: no device fails any more due to image_not_found")
    assert "Devices: 0 (40 in the last message)" in over


@pytest.mark.parametrize("name", [*Milestone, "of_a_later_release"])
def test_a_milestone_comes_with_its_counts(name: str) -> None:
    lines = text(milestone(name)).splitlines()
    assert lines[0].startswith("Deployment camera-2")
    assert "Devices: 1 of 3 successful, 1 failing" in lines
    assert "States: 1 module_failed, 1 pending, 1 successful" in lines


def test_a_program_gets_the_event_byte_for_byte() -> None:
    body = milestone("started")
    message = render(Target("m", Format.CLOUDEVENTS, "https://a"), body, "north")
    assert (message.id, message.body) == ("i", body)
    assert message.content_type.startswith("application/cloudevents+json")


def test_slack_gets_no_markup_no_mention_and_no_second_line_of_a_device() -> None:
    message = render(Target("s", Format.SLACK, "https://a"), cause(Stage.FIRST, message=HOSTILE), "north")
    shown = json.loads(message.body)
    assert (shown["mrkdwn"], shown["unfurl_links"]) == (False, False)
    (line,) = [line for line in shown["text"].splitlines() if line.startswith("What happened")]
    assert "<" not in line
    assert "@channel" not in line
    assert "&lt;!channel&gt; @\u200bchannel" in line
    assert "# big" in line


def test_teams_gets_a_card_whose_texts_are_shown_unchanged() -> None:
    message = render(Target("t", Format.TEAMS, "https://a"), cause(Stage.FIRST, message=HOSTILE), "north")
    shown = json.loads(message.body)
    (attachment,) = shown["attachments"]
    assert (shown["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    card = attachment["content"]
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    runs = [run for block in card["body"] for run in block["inlines"]]
    assert {run["type"] for run in runs} == {"TextRun"}
    assert "selectAction" not in message.body.decode()
    assert runs[0]["color"] == "attention"
    assert any("[here](https://evil.example)" in run["text"] for run in runs)


def test_a_message_is_small_whatever_a_device_reports() -> None:
    long = "x" * 100_000
    data = {"message": long, "cause": long, "examples": [long] * 3, "cohort": long, "deployment": long}
    for kind in (Format.TEAMS, Format.SLACK):
        assert len(render(Target("t", kind, "https://a"), cause(Stage.FIRST, **data), long).body) < 10_000
