"""The columns of each kind of row: their names, the fields that they hold, and how.

Rows are written, read and shown by the API with these definitions, and docs/tables.md is compared with them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from operator import attrgetter
from typing import Any, Final

from status_app.storage.codecs import (
    BINARY,
    BOOLEAN,
    FINDINGS,
    JSON_TEXT,
    LONG,
    NAME,
    NAMES,
    NUMBER,
    PERIOD,
    TEXT,
    TIME,
    TIMES,
    Codec,
)

type Row = dict[str, Any]
"""An entity. Columns without a value are left out, as Table Storage does."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of one kind of row.

    Attributes:
        name: Its name.
        field: The path of the field that it holds; empty if it is computed when the row is written.
        codec: How the field is stored.
        is_shown: Whether the API shows it under its own name.
    """

    name: str
    field: str
    codec: Codec
    is_shown: bool = True


_CLOCK: Final = (
    Column("UnsettledSince", "clock.unsettled_since", TIME),
    Column("SettledSince", "clock.settled_since", TIME, is_shown=False),
    Column("StuckAt", "clock.stuck_at", TIME),
    Column("HopelessSince", "clock.hopeless_since", TIME, is_shown=False),
    Column("Window", "clock.window", PERIOD, is_shown=False),
    Column("WindowEndedAt", "clock.window_ended_at", TIME, is_shown=False),
    Column("GracePeriod", "clock.grace", PERIOD),
    Column("GraceSource", "clock.grace_source", TEXT),
    Column("AnnouncedState", "news.state", TEXT),
    Column("AnnouncedSince", "news.since", TIME, is_shown=False),
    Column("Told", "news.announced", NAMES, is_shown=False),
    Column("Cause", "verdict.cause", TEXT),
)
DEVICE_COLUMNS: Final = (
    Column("State", "verdict.state", TEXT),
    Column("Reason", "verdict.reason", TEXT),
    Column("Message", "verdict.message", TEXT),
    Column("Since", "since", TIME),
    Column("Deployments", "verdict.deployments", NAMES),
    Column("CreditedAt", "credited", TIMES, is_shown=False),
    Column("Targeted", "verdict.targeted", NAMES),
    Column("Flags", "verdict.flags", NAMES),
    Column("Portal", "verdict.portal", TEXT),
    Column("DesiredVersion", "verdict.desired_version", LONG),
    Column("DesiredAt", "verdict.desired_at", TIME, is_shown=False),
    Column("DesiredAgentImage", "verdict.desired_agent_image", TEXT, is_shown=False),
    Column("LastDesiredVersion", "verdict.last_desired_version", LONG),
    Column("StatusCode", "verdict.status_code", LONG),
    Column("TwinVersion", "verdict.twin_version", LONG),
    Column("AgentVersion", "verdict.agent_version", TEXT),
    Column("ConnectionState", "verdict.connection_state", TEXT),
    Column("LastActivityAt", "verdict.last_activity", TIME),
    Column("Lint", "verdict.lint", FINDINGS),
    Column("Rule", "verdict.rule", TEXT),
    *_CLOCK,
    Column("Stuck", "clock.is_stuck", BOOLEAN, is_shown=False),
    Column("StuckSince", "clock.stuck_since", TIME, is_shown=False),
    Column("Sequence", "sequence", LONG),
    Column("At", "at", TIME),
    Column("ObservedAt", "observed", TIME),
    Column("LagsUntil", "lags_until", TIME, is_shown=False),
    Column("LookAt", "", TIME, is_shown=False),
    Column("Format", "", NUMBER, is_shown=False),
    Column("FirstStuckSince", "", TIME, is_shown=False),
    Column("ModulesTotal", "", NUMBER, is_shown=False),
    Column("ModulesSettled", "", NUMBER, is_shown=False),
    Column("ModulesStuck", "", NUMBER, is_shown=False),
    Column("Published", "", LONG, is_shown=False),
    Column("Cohorts", "", NAMES),
)
MODULE_COLUMNS: Final = (
    Column("State", "verdict.state", TEXT),
    Column("Reason", "verdict.reason", TEXT),
    Column("Message", "verdict.message", TEXT),
    Column("Since", "since", TIME),
    Column("DesiredStatus", "verdict.desired_status", TEXT),
    Column("RuntimeStatus", "verdict.runtime_status", TEXT),
    Column("DesiredImage", "verdict.desired_image", TEXT),
    Column("ReportedImage", "verdict.reported_image", TEXT),
    Column("ImageHash", "verdict.image_hash", TEXT),
    Column("ExitCode", "verdict.exit_code", LONG),
    Column("RestartCount", "verdict.restart_count", LONG),
    Column("LastStartAt", "verdict.last_start", TIME),
    Column("LastExitAt", "verdict.last_exit", TIME),
    *_CLOCK,
    Column("Stuck", "clock.is_stuck", BOOLEAN),
    Column("StuckSince", "clock.stuck_since", TIME),
)
TRANSITION_COLUMNS: Final = (
    Column("Sequence", "sequence", LONG),
    Column("Kind", "change.kind", TEXT),
    Column("Initial", "change.is_initial", BOOLEAN),
    Column("Module", "change.module", NAME),
    Column("FromState", "change.from_state", TEXT),
    Column("ToState", "change.to_state", TEXT),
    Column("Reason", "change.reason", TEXT),
    Column("Message", "change.message", TEXT),
    Column("Cause", "change.cause", TEXT),
    Column("StuckAt", "change.stuck_at", TIME),
    Column("RestartCount", "change.restart_count", LONG),
    Column("ImageHash", "change.image_hash", TEXT),
    Column("Evidence", "", JSON_TEXT),
    Column("DesiredVersion", "desired_version", LONG),
    Column("Deployments", "deployments", NAMES),
    Column("Cohorts", "", NAMES),
    Column("PreviousSince", "change.previous_since", TIME),
    Column("Since", "change.since", TIME),
    Column("At", "at", TIME),
    Column("ObservedAt", "", TIME),
    Column("EventId", "", TEXT),
    Column("DurationSeconds", "duration", NUMBER),
)
DEPLOYMENT_COLUMNS: Final = (
    Column("Version", "version", NUMBER),
    Column("Devices", "counts.devices", NUMBER),
    Column("Successful", "counts.successful", NUMBER),
    Column("Settling", "counts.settling", NUMBER),
    Column("Failing", "counts.failing", NUMBER),
    Column("Waiting", "counts.waiting", NUMBER),
    Column("Stuck", "", NUMBER),
    Column("States", "", JSON_TEXT),
    Column("CountedAt", "", TIME),
    Column("FailureThreshold", "", TEXT),
    Column("SettledSince", "settled_since", TIME),
    Column("CreatedAt", "created", TIME),
    Column("Best", "best", NUMBER, is_shown=False),
    Column("JoinedAt", "joined_at", TIME, is_shown=False),
    Column("ProgressedAt", "progressed_at", TIME, is_shown=False),
    Column("Reached", "", JSON_TEXT, is_shown=False),
    Column("Points", "", NUMBER, is_shown=False),
)
LISTING_COLUMNS: Final = (
    Column("CreatedAt", "created", TIME),
    Column("Priority", "priority", LONG),
    Column("TargetCondition", "target_condition", TEXT),
    Column("Labels", "", JSON_TEXT),
    Column("Modules", "", JSON_TEXT),
    Column("Targeted", "targeted", LONG),
    Column("Applied", "applied", LONG),
    Column("ReportedSuccessful", "reported_successful", LONG),
    Column("ReportedFailed", "reported_failed", LONG),
    Column("Missed", "", BOOLEAN, is_shown=False),
)
NOTICE_COLUMNS: Final = (
    Column("Id", "id", TEXT),
    Column("QueuedAt", "queued_at", TIME),
    Column("KeptAt", "kept_at", TIME),
    Column("DueAt", "due_at", TIME),
    Column("Attempts", "attempts", NUMBER),
    Column("Error", "error", TEXT),
    Column("Body", "", BINARY),
    Column("GivenUpAt", "given_up_at", TIME),
)
CAUSE_COLUMNS: Final = (
    Column("Deployment", "about.deployment", TEXT),
    Column("Version", "about.version", NUMBER),
    Column("Cohort", "about.cohort", TEXT),
    Column("Cause", "about.cause", TEXT),
    Column("SeenAt", "seen_at", TIME),
    Column("GoneAt", "gone_at", TIME),
    Column("Told", "notices", NUMBER),
    Column("ToldDevices", "noticed_devices", NUMBER),
)
TARGET_COLUMNS: Final = (
    Column("Failures", "failures", NUMBER),
    Column("Error", "error", TEXT),
    Column("FailingSince", "failing_since", TIME),
    Column("PausedUntil", "paused_until", TIME),
    Column("Unsent", "unsent", NUMBER),
    Column("GivenUp", "given_up", NUMBER),
    Column("LastGivenUpAt", "given_up_at", TIME),
)


_getter = cache(attrgetter)


def write(columns: Sequence[Column], item: object, **computed: Any) -> Row:
    """Create the columns of a row, without its keys.

    Args:
        columns: The columns of its kind.
        item: The object with the fields.
        computed: The columns that hold no field.
    """
    values = ((column, _getter(column.field)(item) if column.field else computed[column.name]) for column in columns)
    written = {column.name: column.codec.write(value) for column, value in values if value is not None}
    return {name: value for name, value in written.items() if value is not None}


def read(columns: Sequence[Column], row: Mapping[str, Any]) -> dict[str, Any]:
    """Read the fields of a row by their paths; None for missing columns."""
    return {column.field: column.codec.read(row.get(column.name)) for column in columns if column.field}


def built[Kind](kind: type[Kind], values: Mapping[str, Any], prefix: str = "", **others: Any) -> Kind:
    """Build a dataclass from the fields of a row.

    Args:
        kind: The dataclass.
        values: Fields by their paths.
        prefix: Prefix of the paths of its fields.
        others: Its fields that the row does not hold, or holds differently.
    """
    found = {name: values[path] for name, path in _paths(kind, prefix) if path in values}  # type: ignore[arg-type]  # a class
    return kind(**found | others)


@cache
def _paths(kind: type, prefix: str) -> Sequence[tuple[str, str]]:
    """Return the fields of a dataclass with their paths."""
    return [(field.name, prefix + field.name) for field in fields(kind)]


def shown(columns: Sequence[Column], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as the API shows it: names in camel case, times as text in UTC, null for missing values."""
    return {
        column.name[0].lower() + column.name[1:]: column.codec.show(row.get(column.name))
        for column in columns
        if column.is_shown
    }
