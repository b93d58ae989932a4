"""`notify-test`: sends one message to a target, and shows its answer."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from status_app.commands.exit_codes import ExitCode
from status_app.errors import SettingError
from status_app.events.cloud_event import segment
from status_app.events.severity import Severity
from status_app.notify.formats import render
from status_app.notify.notes import Stage, cause_notice
from status_app.notify.targets import Target, read_targets
from status_app.notify.webhook import DeliveryError, Webhooks
from status_app.settings import Settings
from status_app.storage.codecs import show_time

TEST: Final = "edge.deployment.notify_test"
"""The type of the test event; the event hub never gets it."""


async def notify_test(
    environment: Mapping[str, str],
    name: str,
    echo: Callable[[str], None],
    now: datetime,
    webhooks: Webhooks | None = None,
) -> ExitCode:
    """Send one message, in one attempt.

    Args:
        environment: The settings of the app.
        name: The target.
        echo: Prints a line.
        now: The time in UTC.
        webhooks: Sends the message; by default it refuses addresses on this machine.

    Raises:
        SettingError: A setting is wrong, or there is no such target.
    """
    settings, targets = Settings.read(environment), read_targets(environment)
    target = next((target for target in targets if target.name == name), None)
    if target is None:
        known = ", ".join(target.name for target in targets) or "none"
        raise SettingError(f"NOTIFY has no target {name!r}: its targets are: {known}")
    webhooks = webhooks or Webhooks()
    try:
        status = await webhooks.send_once(target, render(target, _news(target, settings, now), settings.fleet))
    except DeliveryError as error:
        echo(str(error))
        return ExitCode.FAILED
    finally:
        await webhooks.close()
    echo(f"target {name} accepted it: answer {status}")
    return ExitCode.OK


def _news(target: Target, settings: Settings, now: datetime) -> bytes:
    news_id, time = f"{settings.hub}/notify-test/{target.name}/{now:%Y%m%dT%H%M%S%fZ}", show_time(now)
    if target.is_for_people:
        data = {
            "deployment": "none",
            "version": 0,
            "cohort": "",
            "cause": "a test: nothing is wrong",
            "stage": Stage.FIRST,
            "before": 0,
            "devices": 0,
            "message": "Someone ran notify-test to see whether messages arrive here.",
        }
        return cause_notice(news_id, time, Severity.INFO, data)
    event = {
        "specversion": "1.0",
        "id": news_id,
        "source": f"/hubs/{segment(settings.hub)}/notify-test",
        "type": TEST,
        "time": time,
        "severity": Severity.INFO,
        "datacontenttype": "application/json",
        "data": {"hub": settings.hub},
    }
    return json.dumps(event, separators=(",", ":")).encode()
