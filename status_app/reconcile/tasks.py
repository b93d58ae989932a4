"""The tasks of reconciling a device, and their results."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from status_app.ingest.notifications import Notification
from status_core import DeploymentStatus, evaluate


class Outcome(StrEnum):
    """The outcome of reconciling a device."""

    COVERED = "covered"
    """The stored state is as new as the notification, so the twin was not read."""
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    HEALED = "healed"
    """A query found a change whose notification is long overdue."""
    REMOVED = "removed"
    STALE = "stale"
    """The device is not due yet, so nothing was read."""
    UNVERIFIED = "unverified"
    """The hub did not answer. What is past its grace period was flagged as last seen."""
    FINISHED = "finished"
    """Another writer's unfinished work was published and projected."""


@dataclass(frozen=True, slots=True)
class Notified:
    """A notification arrived."""

    notification: Notification

    @property
    def device_id(self) -> str:
        """The id of the device."""
        return self.notification.device_id


@dataclass(frozen=True)  # without slots: its twin is judged once, and where a twin that fails costs only its device
class Queried:
    """A query returned the twin, which may be older than a direct read.

    Attributes:
        queried: When the query was sent.
    """

    device_id: str
    twin: Mapping[str, Any]
    queried: datetime

    @cached_property
    def status(self) -> DeploymentStatus:
        """What the twin says."""
        return evaluate(self.twin, now=self.queried)


@dataclass(frozen=True, slots=True)
class Compared:
    """The index differs from a queried outline of the device, or may be behind the device's row.

    Attributes:
        status: What its outline says, a twin with empty sections.
        queried: When the query was sent.
    """

    device_id: str
    status: DeploymentStatus
    queried: datetime


@dataclass(frozen=True, slots=True)
class Unseen:
    """The device is in the index, but was on no page of a query."""

    device_id: str


@dataclass(frozen=True, slots=True)
class Due:
    """A deadline of the device is over: flag what is stuck by now, clear what has recovered."""

    device_id: str


@dataclass(frozen=True, slots=True)
class Announced:
    """A writer announced a change and did not project it, or some events are not published.

    Attributes:
        pending: Announcements of dead or late writers. They end once such a writer can change nothing.
        forgotten: Those that end in any case.
    """

    device_id: str
    pending: frozenset[str] = frozenset()
    forgotten: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Tagged:
    """A query returned the tags of the device, which give its cohorts. Its twin is not read."""

    device_id: str
    cohorts: tuple[str, ...]


type Task = Notified | Queried | Compared | Unseen | Due | Announced | Tagged


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a task: an outcome, or an error."""

    task: Task
    outcome: Outcome | None
    error: Exception | None = None
