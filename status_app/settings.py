"""The app's settings: read once, checked at start."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from status_app.errors import SettingError
from status_core import GracePolicy, parse_duration

_HOST_NAME: Final = re.compile(r"(?:^|;)\s*HostName=([^;]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the app is told.

    Attributes:
        tables: Endpoint of the table service, or a connection string (`STATUS_TABLES`).
        iot_hub: Host name of the hub, or a connection string (`IOT_HUB`).
        hub: Short name of the hub: the first label of its host name. Part of every event id.
        policy: Grace periods and the stability window.
        history_limit: Transitions that are kept of each device.
    """

    tables: str
    iot_hub: str
    hub: str
    policy: GracePolicy
    history_limit: int

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """The settings in an environment.

        Raises:
            SettingError: One is missing or wrong.
        """
        iot_hub = _required(environment, "IOT_HUB", "the host name of an IoT hub, or a connection string")
        return cls(
            tables=_required(environment, "STATUS_TABLES", "the endpoint of a table service, or a connection string"),
            iot_hub=iot_hub,
            hub=_hub(iot_hub),
            policy=GracePolicy(
                default=_duration(environment, "GRACE_DEFAULT", "PT15M"),
                periods=_periods(environment, "GRACE_PERIODS"),
                stable_after=_duration(environment, "STABLE_AFTER", "PT60S"),
            ),
            history_limit=_count(environment, "HISTORY_LIMIT", 500),
        )


def is_connection_string(value: str) -> bool:
    """Whether a setting holds a connection string; else it is an address, used with the app's identity."""
    return "=" in value


def _required(environment: Mapping[str, str], name: str, takes: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise SettingError(f"{name} is not set: it takes {takes}")
    return value


def _hub(iot_hub: str) -> str:
    if is_connection_string(iot_hub):
        match = _HOST_NAME.search(iot_hub)
        if match is None:  # the value holds a key: it is not shown
            raise SettingError(
                "IOT_HUB is a connection string without HostName: it takes HostName=...;SharedAccessKey..."
            )
        iot_hub = match[1]
    return re.split(r"[.:]", iot_hub, maxsplit=1)[0]


def _duration(environment: Mapping[str, str], name: str, default: str) -> timedelta:
    value = environment.get(name, "").strip() or default
    try:
        return parse_duration(value)
    except ValueError as error:
        raise SettingError(f"{name} is {value!r}: it takes an ISO 8601 duration such as {default} ({error})") from None


def _periods(environment: Mapping[str, str], name: str) -> Mapping[str, timedelta]:
    value = environment.get(name, "").strip() or "{}"
    takes = 'it takes a JSON object of module name or image prefix to duration, such as {"camera": "PT30M"}'
    try:
        periods = json.loads(value)
    except ValueError as error:
        raise SettingError(f"{name} is {value!r}: {takes} ({error})") from None
    if not isinstance(periods, dict):
        raise SettingError(f"{name} is {value!r}: {takes}")
    try:
        return {key: parse_duration(str(period)) for key, period in periods.items()}
    except ValueError as error:
        raise SettingError(f"{name} is {value!r}: {takes} ({error})") from None


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name, "").strip() or str(default)
    if not value.isdecimal() or not 1 <= int(value[:9]) <= 100_000:  # noqa: PLR2004 (the bounds that are told)
        raise SettingError(f"{name} is {value!r}: it takes a whole number from 1 to 100000")
    return int(value)
