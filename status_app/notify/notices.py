"""What is kept of notices: messages that wait, and what was announced to a target."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from status_app.fleet_index.leading_cause import cause_id
from status_app.storage.keys import joined, key_part

CAUSE_KEY: Final = "cause"
"""Begins the RowKey of what was announced of a cause."""


@dataclass(frozen=True, slots=True)
class TargetState:
    """The state of a target.

    Attributes:
        failures: Times in a row that it could not be reached; 0 after it accepted a message.
        error: Why it could not be reached last time; empty if it could.
        failing_since: When the first of these failures was. Meaningless without failures.
        paused_until: It is left alone until then.
        unsent: How many messages waited at the end of the last run; `PAGE` means that many, or more.
        given_up: How many messages were ever given up.
        given_up_at: When the last one was.
    """

    failures: int = 0
    error: str = ""
    failing_since: datetime | None = None
    paused_until: datetime | None = None
    unsent: int = 0
    given_up: int = 0
    given_up_at: datetime | None = None

    def is_paused(self, now: datetime) -> bool:
        """Whether the target is left alone."""
        return self.paused_until is not None and now < self.paused_until


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that was not sent yet.

    Attributes:
        id: The id of the news.
        body: The news as JSON in UTF-8: an event of the event hub, or a message about a cause.
        queued_at: When it arrived. Together with the id it is the key, so a repeated run finds the row.
        kept_at: When it was first stored: it is retried for a day from then on.
        due_at: It is not sent before then.
        attempts: How often it was sent without being accepted.
        error: Why it was not accepted last time.
        given_up_at: When it was given up.
    """

    id: str
    body: bytes
    queued_at: datetime
    kept_at: datetime
    due_at: datetime
    attempts: int = 0
    error: str = ""
    given_up_at: datetime | None = None

    @property
    def key(self) -> str:
        """The RowKey without the kind."""
        digest = hashlib.sha256(self.id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return f"{time_key(self.queued_at)}|{digest}"


@dataclass(frozen=True, slots=True)
class AboutCause:
    """What a message is about: devices of one version of a deployment that fail alike.

    Attributes:
        cohort: The cohort whose devices are meant; empty for all.
        cause: The cause as one line.
    """

    deployment: str
    version: int
    cohort: str
    cause: str

    @property
    def key(self) -> str:
        """The RowKey."""
        parts = key_part(self.deployment), f"{self.version:09d}", key_part(self.cohort), cause_id(self.cause)
        return joined(CAUSE_KEY, *parts)


@dataclass(frozen=True, slots=True)
class CauseRecord:
    """What was announced of a cause to a target.

    Attributes:
        seen_at: When the first device was found.
        gone_at: When no device was found any more.
        notices: How many notices there were.
        noticed_devices: How many devices the last one named.
        etag: Of its row; None if it has none yet.
    """

    about: AboutCause
    seen_at: datetime
    gone_at: datetime | None = None
    notices: int = 0
    noticed_devices: int = 0
    etag: str | None = None


def time_key(time: datetime) -> str:
    """Format a time for a key, so that keys sort by time."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")
