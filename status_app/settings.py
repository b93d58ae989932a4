"""The app's settings: read once, checked at start."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from status_app.errors import SettingError
from status_app.schedule import parse_schedule
from status_core import BY_REASON, GracePolicy, Threshold, known_reason, parse_duration

SCHEDULES: Final = {"FLAG_STUCK_SCHEDULE": "0 * * * * *", "RESYNC_SCHEDULE": "0 0 * * * *"}
"""The timers' settings and their defaults: each minute, each hour."""

SHARED: Final = (
    "GRACE_DEFAULT",
    "GRACE_PERIODS",
    "GRACE_HOPELESS",
    "STABLE_AFTER",
    "FAILURE_THRESHOLD",
    "INTENSIVE_CARE",
    "HISTORY_LIMIT",
)
"""Settings that affect the meaning of rows. None of them is a secret."""

MOST_TAGS: Final = 3
"""Most tags for cohorts."""
_TAG: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SCHEDULE: Final = re.compile(r"[\w*,/-]+(?: +[\w*,/-]+){5}")
_HOST: Final = "__fullyQualifiedNamespace"
"""Suffix of a connection's name: the setting with a host name instead, for the app's identity."""
_LONGEST_NAME: Final = 100
_HOST_NAME: Final = re.compile(r"(?:^|;)\s*HostName=([^;]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Settings:
    """The app's settings.

    Attributes:
        tables: Endpoint of the table service, or a connection string (`STATUS_TABLES`).
        iot_hub: Host name of the hub, or a connection string (`IOT_HUB`).
        hub: Short name of the hub: the first label of its host name. Part of every event id.
        fleet: The fleet's name for people (`FLEET_NAME`); by default the short name of the hub.
        policy: Grace periods and windows.
        history_limit: How many transitions of each device are stored.
        twin_reads_per_second: Most twins that the app reads per second; 0 for no limit (`TWIN_READS_PER_SECOND`).
        twin_queries_per_minute: Most queries for twins that the app makes per minute; 0 for no limit
            (`TWIN_QUERIES_PER_MINUTE`).
        cohort_tags: Names of the tags that make cohorts (`COHORT_TAGS`).
        twin_changes: Connection string or host name of an Event Hubs namespace (`TwinChanges`), and the event hub in it
            (`TWIN_CHANGES_HUB`); None if not set: commands need neither.
        transitions: Connection string or host name of an Event Hubs namespace (`Transitions`), and the event hub in it
            (`TRANSITIONS_HUB`); None if events are not published.
        sends_metrics: Whether metrics go to Azure Monitor (`TELEMETRY`).
        schedules: The schedule of each timer, by its name (`FLAG_STUCK_SCHEDULE`, `RESYNC_SCHEDULE`).
        shared: The settings that affect the meaning of rows, unparsed: a command reads them from the tables.
    """

    tables: str
    iot_hub: str
    hub: str
    fleet: str
    policy: GracePolicy
    history_limit: int
    twin_reads_per_second: int
    twin_queries_per_minute: int
    cohort_tags: tuple[str, ...]
    twin_changes: tuple[str, str] | None
    transitions: tuple[str, str] | None
    sends_metrics: bool
    schedules: Mapping[str, str]
    shared: Mapping[str, str]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings from an environment.

        Raises:
            SettingError: One is missing or wrong.
        """
        iot_hub, hub = read_iot_hub(environment)
        return cls(
            tables=read_tables(environment),
            iot_hub=iot_hub,
            hub=hub,
            fleet=_fleet_name(environment) or hub,
            policy=GracePolicy(
                default=_duration(environment, "GRACE_DEFAULT", "PT15M"),
                periods=_periods(environment, "GRACE_PERIODS"),
                stable_after=_duration(environment, "STABLE_AFTER", "PT60S"),
                intensive_care=_duration(environment, "INTENSIVE_CARE", "PT10M"),
                hopeless=_duration(environment, "GRACE_HOPELESS", "PT2M"),
                threshold=_threshold(environment, "FAILURE_THRESHOLD"),
            ),
            history_limit=_count(environment, "HISTORY_LIMIT", 500, least=1),
            twin_reads_per_second=_count(environment, "TWIN_READS_PER_SECOND", 80, least=0),
            twin_queries_per_minute=_count(environment, "TWIN_QUERIES_PER_MINUTE", 16, least=0),
            cohort_tags=_cohort_tags(environment),
            twin_changes=_twin_changes(environment),
            transitions=_transitions(environment),
            sends_metrics=_sends_metrics(environment),
            schedules=read_schedules(environment),
            shared={name: environment[name] for name in SHARED if environment.get(name, "").strip()},
        )


def check_trigger(environment: Mapping[str, str]) -> None:
    """Check what the trigger of twin changes needs. The functions host reads it, but its errors say less.

    Raises:
        SettingError: A setting is missing.
    """
    _required(environment, "TWIN_CHANGES_HUB", "the name of the event hub of twin changes")
    _required(environment, "CONSUMER_GROUP", "a consumer group of that event hub")
    if not _connection(environment, "TwinChanges"):
        raise SettingError(
            f"neither TwinChanges nor TwinChanges{_HOST} is set: expected the Event Hubs namespace of twin changes, "
            "the first as a connection string, the second as a host name"
        )


def is_connection_string(value: str) -> bool:
    """Whether a setting holds a connection string. Otherwise it is an address, used with the app's identity."""
    return "=" in value


def schedule(environment: Mapping[str, str], name: str) -> str:
    """Return a timer's schedule for its binding: a reference that the host resolves, or the default.

    A reference to a missing setting stops the host, and bindings have no defaults.
    """
    return f"%{name}%" if environment.get(name) else SCHEDULES[name]


def read_schedules(environment: Mapping[str, str]) -> dict[str, str]:
    """Read the schedule of each timer, by the name of its function.

    Raises:
        SettingError: One is wrong.
    """
    return {name.removesuffix("_SCHEDULE").lower(): _schedule(environment, name) for name in SCHEDULES}


def _schedule(environment: Mapping[str, str], name: str) -> str:
    value = (environment.get(name) or SCHEDULES[name]).strip()
    takes = f"{name} is {value!r}: expected six fields, second to day of the week, such as {SCHEDULES[name]!r}"
    if not _SCHEDULE.fullmatch(value):
        raise SettingError(takes)
    try:
        parse_schedule(value).next(datetime.min.replace(tzinfo=UTC))
    except ValueError as error:
        raise SettingError(f"{takes} ({error})") from None
    return value


def _required(environment: Mapping[str, str], name: str, takes: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise SettingError(f"{name} is not set: expected {takes}")
    return value


def read_tables(environment: Mapping[str, str]) -> str:
    """Read `STATUS_TABLES`: the endpoint of the table service, or a connection string.

    Raises:
        SettingError: It is missing or wrong.
    """
    takes = "the https endpoint of a table service, or a connection string"
    tables = _required(environment, "STATUS_TABLES", takes)
    known = (
        ("https://", "http://") if not is_connection_string(tables) else ("AccountName=", "TableEndpoint=", "UseDev")
    )
    if not any(word in tables for word in known):  # not shown: the value may hold a key
        raise SettingError(f"STATUS_TABLES is neither: expected {takes}")
    return tables


def read_iot_hub(environment: Mapping[str, str]) -> tuple[str, str]:
    """Read `IOT_HUB`: the host name of the hub or a connection string, and the hub's short name.

    Raises:
        SettingError: It is missing or wrong.
    """
    iot_hub = _required(environment, "IOT_HUB", "the host name of an IoT hub, or a connection string")
    return iot_hub, _hub(iot_hub)


def _connection(environment: Mapping[str, str], name: str) -> str:
    """Return an Event Hubs connection: a connection string, or the host name set instead; empty if there is none."""
    return environment.get(name, "").strip() or environment.get(name + _HOST, "").strip()


def _twin_changes(environment: Mapping[str, str]) -> tuple[str, str] | None:
    connection, hub = _connection(environment, "TwinChanges"), environment.get("TWIN_CHANGES_HUB", "").strip()
    return (connection, hub) if connection and hub else None


def _transitions(environment: Mapping[str, str]) -> tuple[str, str] | None:
    name = "Transitions"
    connection = _connection(environment, name)
    hub = environment.get("TRANSITIONS_HUB", "").strip()
    if hub and not connection:
        raise SettingError(f"TRANSITIONS_HUB is {hub!r}, but neither {name} nor {name}{_HOST} is set")
    if connection and not hub:
        raise SettingError(f"TRANSITIONS_HUB is not set: with {name} it must name an event hub")
    if is_connection_string(connection) and "Endpoint=" not in connection:  # not shown: it may hold a key
        raise SettingError(f"{name} is a connection string without Endpoint: expected Endpoint=sb://...")
    return (connection, hub) if hub else None


def _fleet_name(environment: Mapping[str, str]) -> str:
    name = environment.get("FLEET_NAME", "").strip()
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise SettingError(f"FLEET_NAME is {name!r}: expected at most {_LONGEST_NAME} printable characters")
    return name


def _sends_metrics(environment: Mapping[str, str]) -> bool:
    value = environment.get("TELEMETRY", "").strip() or "off"
    if value not in ("off", "azure-monitor"):
        raise SettingError(f"TELEMETRY is {value!r}: expected off or azure-monitor")
    if value == "azure-monitor" and not environment.get("APPLICATIONINSIGHTS_CONNECTION_STRING", "").strip():
        raise SettingError(f"TELEMETRY is {value!r}, but APPLICATIONINSIGHTS_CONNECTION_STRING is not set")
    return value == "azure-monitor"


def _hub(iot_hub: str) -> str:
    if is_connection_string(iot_hub):
        match = _HOST_NAME.search(iot_hub)
        if match is None:  # not shown: the value holds a key
            raise SettingError(
                "IOT_HUB is a connection string without HostName: expected HostName=...;SharedAccessKey..."
            )
        if "SharedAccessKey=" not in iot_hub:
            raise SettingError("IOT_HUB is a connection string without SharedAccessKey: expected that of a policy")
        iot_hub = match[1]
    return re.split(r"[.:]", iot_hub, maxsplit=1)[0]


def _duration(environment: Mapping[str, str], name: str, default: str) -> timedelta:
    value = environment.get(name, "").strip() or default
    try:
        return parse_duration(value)
    except ValueError as error:
        raise SettingError(f"{name} is {value!r}: expected an ISO 8601 duration such as {default} ({error})") from None


def _threshold(environment: Mapping[str, str], name: str) -> Threshold | None:
    value = environment.get(name, "").strip()
    try:
        return Threshold.parse(value) if value else None
    except ValueError as error:
        raise SettingError(f"{name} is {value!r}: expected a number of devices, or a percentage ({error})") from None


def _periods(environment: Mapping[str, str], name: str) -> Mapping[str, timedelta]:
    value = environment.get(name, "").strip() or "{}"
    takes = (
        "expected a JSON object of module name, image prefix or reason:<reason> to duration, "
        'such as {"camera": "PT30M", "reason:pull_timed_out": "PT2H"}'
    )
    try:
        periods = json.loads(value)
    except ValueError as error:
        raise SettingError(f"{name} is {value!r}: {takes} ({error})") from None
    if not isinstance(periods, dict):
        raise SettingError(f"{name} is {value!r}: {takes}")
    for reason in (key.removeprefix(BY_REASON) for key in periods if key.startswith(BY_REASON)):
        if known_reason(reason) is None:
            raise SettingError(f"{name} is {value!r}: {reason!r} is not a reason; {takes}")
    try:
        return {key: parse_duration(str(period)) for key, period in periods.items()}
    except ValueError as error:
        raise SettingError(f"{name} is {value!r}: {takes} ({error})") from None


def _cohort_tags(environment: Mapping[str, str]) -> tuple[str, ...]:
    value = environment.get("COHORT_TAGS", "").strip()
    names = tuple(name.strip() for name in value.split(",")) if value else ()
    if len(names) > MOST_TAGS or len(set(names)) < len(names) or not all(map(_TAG.fullmatch, names)):
        raise SettingError(
            f"COHORT_TAGS is {value!r}: expected names of device tags, at most {MOST_TAGS}, such as ring,region"
        )
    return names


def _count(environment: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    value = environment.get(name, "").strip() or str(default)
    if not value.isdecimal() or not least <= int(value[:9]) <= 100_000:  # noqa: PLR2004 (the bound in the message)
        raise SettingError(f"{name} is {value!r}: expected a whole number from {least} to 100000")
    return int(value)
