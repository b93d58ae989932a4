"""What can go wrong, and what follows from it: every error of status_app, in one tree.

    StatusAppError
    +-- SettingError             a setting is missing or wrong: the app does not start
    +-- BadEventError            an event that no retry can mend: dead-lettered at once
    +-- UnavailableError         a service does not answer: raised, the host retries, at last dead-lettered
    |   +-- OutOfTimeError       a run is over: what is left is left for the next one
    |   +-- HubRequestError      one request that IoT Hub refused or did not answer (iothub.twins)
    |   +-- DeliveryError        a target did not take a message: it is kept, and sent again (notify.webhook)
    +-- LostRaceError            another writer was first: the device is read again
    +-- QueryRefusedError        the hub does not take a query: resync goes through the whole fleet
    +-- ContinuationError        a query cannot go on where it stopped: it starts from its beginning
    +-- BatchError               some devices of a batch are left: the host runs it again (reconcile.twin_changes)
    +-- RefusedAddressError      a target is on this machine or its link: it is not asked (notify.webhook)
    +-- TooLargeError            an event that no event hub takes: a bug, and logged (events.publisher)
    +-- UnreadableAnswerError    an answer to a transaction is none: as if it was lost (storage.transaction)
    +-- UnreadableRowError       a dead letter is not as it was written: it stays (ingest.dead_letters)
    +-- ParameterError           a parameter of a request is wrong: answer 400 (http.parameters)
    +-- FilterError              what is asked for is no word that there is: answer 400 (queries.device_filter)
    +-- PlaceError               a list cannot begin there: answer 400 (queries.pages)
    +-- NotFoundError            what is asked for is not known: answer 404 (http.responses)
    +-- HubRefusalError          IoT Hub refuses a write of doctor: a step that is wrong (commands.doctor)
    +-- RefusedError             a command is refused by what it asks: waiting does not help (commands.fleet_status)

Those of one task alone are defined where they are raised, in the module in brackets; the others are here. Anything else
that is raised is a bug.
"""


class StatusAppError(Exception):
    """Something that the app expects to go wrong."""


class SettingError(StatusAppError):
    """A setting is missing or wrong. The text names the setting, its value unless secret, and what it takes."""


class BadEventError(StatusAppError):
    """An event that can never be processed.

    Attributes:
        reason: One word of a closed set, kept in the dead letter's Reason.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class UnavailableError(StatusAppError):
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


class OutOfTimeError(UnavailableError):
    """The time of a run was over before a service had answered, or before it was asked."""

    def __init__(self, service: str, detail: str = "the time of this run is over") -> None:
        super().__init__(service, detail, is_final=True)


class LostRaceError(StatusAppError):
    """The stored rows are no longer those that were read."""


class QueryRefusedError(StatusAppError):
    """The hub does not take a query."""


class ContinuationError(StatusAppError):
    """The hub does not take the continuation of a query."""
