"""Why a device is reconciled, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from status_app.ingest.notifications import Notification
from status_core import DeploymentStatus


class Outcome(StrEnum):
    """What reconciling a device came to."""

    COVERED = "covered"
    """What is stored is as new as the notification: the twin was not read."""
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    HEALED = "healed"
    """It is changed by a twin that a notification should have announced long before a query found it."""
    REMOVED = "removed"
    STALE = "stale"
    """The device is not due yet: nothing was looked at."""
    UNVERIFIED = "unverified"
    """The hub did not answer: what is past its grace period was flagged as it was last seen."""
    FINISHED = "finished"
    """What another writer has left was published and projected."""


@dataclass(frozen=True, slots=True)
class Notified:
    """A notification came."""

    notification: Notification

    @property
    def device_id(self) -> str:
        """The device."""
        return self.notification.device_id


@dataclass(frozen=True, slots=True)
class Queried:
    """A query gave the twin: it may be older than the twin that a read would give.

    Attributes:
        status: What it says.
        queried: When the query was sent.
    """

    device_id: str
    status: DeploymentStatus
    queried: datetime


@dataclass(frozen=True, slots=True)
class Compared:
    """The index says something else of the device than a query does, or is behind what is stored of it.

    Attributes:
        status: What its outline says: a twin whose sections have no contents.
        queried: When the query was sent.
    """

    device_id: str
    status: DeploymentStatus
    queried: datetime


@dataclass(frozen=True, slots=True)
class Unseen:
    """The index has the device, and no page of a query had it."""

    device_id: str


@dataclass(frozen=True, slots=True)
class Due:
    """A deadline of the device is over: flag what is stuck by now, clear what has recovered."""

    device_id: str


@dataclass(frozen=True, slots=True)
class Announced:
    """A writer announced a change and has not projected it, or some events are not published.

    Attributes:
        pending: Announcements whose writers are dead, or late: they end once such a writer can change nothing.
        forgotten: Those of them that end in any case.
    """

    device_id: str
    pending: frozenset[str] = frozenset()
    forgotten: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Tagged:
    """A query gave the tags of the device: it is in these cohorts now. Its twin is not read."""

    device_id: str
    cohorts: tuple[str, ...]


type Task = Notified | Queried | Compared | Unseen | Due | Announced | Tagged


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a task: an outcome, or why there is none."""

    task: Task
    outcome: Outcome | None
    error: Exception | None = None
