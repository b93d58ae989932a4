"""What can go wrong, and what follows from it.

    Exception
    +-- SettingError        a setting is missing or wrong: the app does not start
    +-- BadEventError       an event that no retry can mend: dead-lettered at once
    +-- UnavailableError    a service does not answer: raised, retried by the host, dead-lettered on the last attempt
    +-- LostRaceError       another writer was first: looked at anew
    +-- ContinuationError   a query cannot go on where it stopped: it starts anew

An error that is of one task alone is defined where it is raised: `ParameterError`, `PlaceError` and `NotFoundError` of
an HTTP request, `RefusedError` of a command, `UnreadableRowError` of a replay. Anything else is a bug, and raised.
"""


class SettingError(Exception):
    """A setting is missing or wrong. The text names the setting, its value unless secret, and what it takes."""


class BadEventError(Exception):
    """An event that can never be processed.

    Attributes:
        reason: One word of a closed set, kept in the dead letter's Reason.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class UnavailableError(Exception):
    """A service did not answer, or answered that it cannot now.

    Attributes:
        service: `iothub`, `tables` or `transitions`; of a command, also `the API`.
        retry_after: Seconds that the service asks to wait before it is asked again.
        is_final: Whether another attempt soon would fare no better.
    """

    def __init__(self, service: str, detail: str, *, retry_after: float = 0.0, is_final: bool = False) -> None:
        super().__init__(f"{service} is unavailable: {detail}")
        self.service = service
        self.retry_after = retry_after
        self.is_final = is_final


class LostRaceError(Exception):
    """The stored rows are no longer those that were read."""


class ContinuationError(Exception):
    """The hub does not take the continuation of a query."""
