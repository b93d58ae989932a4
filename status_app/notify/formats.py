"""Formats news for a target: a CloudEvent, a card of Teams, a text of Slack.

Words from devices are only ever text: no link, no mention, no markup.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from status_app.events.cloud_event import CONTENT_TYPE
from status_app.events.severity import Severity
from status_app.notify.notes import Note, note
from status_app.notify.targets import Format, Target
from status_app.notify.webhook import Message

_JSON: Final = "application/json"
_CARD: Final = "application/vnd.microsoft.card.adaptive"
_COLORS: Final[Mapping[str, str]] = {Severity.ERROR: "attention", Severity.WARNING: "warning"}
_MARKUP: Final[Mapping[int, str]] = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_MENTION: Final = re.compile(r"@(?=(?:all|channel|everyone|here)\b)", re.IGNORECASE)
_NO_MENTION: Final = "@\u200b"


def render(target: Target, body: bytes, fleet: str) -> Message:
    """Create the message for a target.

    Args:
        target: The target.
        body: The news as JSON: an event of the event hub, or a message about a cause.
        fleet: The fleet's name for people.
    """
    news = json.loads(body)
    news_id = f"{news['id']}"
    match target.format:
        case Format.CLOUDEVENTS:
            return Message(news_id, f"{CONTENT_TYPE}; charset=utf-8", body)
        case Format.TEAMS:
            return Message(news_id, _JSON, json.dumps(_card(note(news, fleet))).encode())
        case Format.SLACK:
            return Message(news_id, _JSON, json.dumps(_text(note(news, fleet))).encode())


def _card(shown: Note) -> dict[str, Any]:
    """Create the message with an adaptive card that a Workflows webhook of Teams posts.

    A TextRun shows its text unchanged. A TextBlock or a Fact would interpret Markdown, and so links.
    """

    def paragraph(*runs: dict[str, Any]) -> dict[str, Any]:
        return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", **run} for run in runs]}

    title = {"text": shown.title, "weight": "bolder", "size": "medium", "color": _COLORS.get(shown.severity, "default")}
    facts = [paragraph({"text": f"{name}: ", "weight": "bolder"}, {"text": value}) for name, value in shown.facts]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "fallbackText": shown.title,
        "body": [paragraph(title), *facts],
    }
    return {"type": "message", "attachments": [{"contentType": _CARD, "contentUrl": None, "content": card}]}


def _text(shown: Note) -> dict[str, Any]:
    """Create the text of a Slack webhook, shown unchanged and without link previews."""
    text = _MENTION.sub(_NO_MENTION, shown.text.translate(_MARKUP))
    return {"text": text, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
