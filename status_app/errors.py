"""Every error of status_app in one tree: what can go wrong, and what happens then.

    StatusAppError
    +-- SettingError             a setting is missing or wrong: the app does not start
    +-- BadEventError            an event that no retry can fix: dead-lettered at once
    +-- UnavailableError         a service does not answer: raised, retried by the host, at last dead-lettered
    |   +-- OutOfTimeError       a run is over: the next one does the rest
    |   +-- HubRequestError      one request that IoT Hub refused or did not answer (iothub.hub_requests)
    |   +-- DeliveryError        a target did not accept a message: it is sent again (notify.webhook)
    +-- LostRaceError            another writer was first: the device is read again
    +-- QueryRefusedError        the hub refuses a query: resync reads the whole fleet
    +-- ContinuationError        a query cannot continue: it starts over
    +-- BatchError               some devices of a batch are not done: the host runs it again (reconcile.twin_changes)
    +-- RefusedAddressError      a target is on this machine or link: nothing is sent (notify.webhook)
    +-- TooLargeError            an event too large for any event hub: a logged bug (events.publisher)
    +-- UnreadableAnswerError    the answer to a transaction is unreadable: as if lost (storage.transaction)
    +-- UnreadableRowError       a dead letter is not as it was written: it stays (ingest.dead_letter_body)
    +-- ParameterError           a parameter of a request is wrong: answer 400 (http.parameters)
    +-- FilterError              a filter has an unknown value: answer 400 (queries.device_filter)
    +-- PlaceError               a list cannot begin there: answer 400 (queries.pages)
    +-- NotFoundError            what is asked for is not known: answer 404 (http.responses)
    +-- HubRefusalError          IoT Hub refuses a write of doctor: the step is wrong (commands.doctor)
    +-- RefusedError             the source refuses a command: waiting does not help (commands.fleet_status)

Errors of one task are defined where they are raised, in the module in brackets; the others are here. Any other
exception is a bug.
"""


class StatusAppError(Exception):
    """An expected failure."""


class SettingError(StatusAppError):
    """A setting is missing or wrong. The message has the setting, its value unless secret, and what is valid."""


class BadEventError(StatusAppError):
    """An event that can never be processed.

    Attributes:
        reason: One word of a closed set, stored in the dead letter's Reason.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class UnavailableError(StatusAppError):
    """A service did not answer, or answered that it cannot now.

    Attributes:
        service: `iothub`, `tables` or `transitions`; of a command, also `the API`.
        retry_after: Seconds to wait, as requested by the service.
        is_final: Whether another attempt soon would fail too.
    """

    def __init__(self, service: str, detail: str, *, retry_after: float = 0.0, is_final: bool = False) -> None:
        super().__init__(f"{service} is unavailable: {detail}")
        self.service = service
        self.retry_after = retry_after
        self.is_final = is_final


class OutOfTimeError(UnavailableError):
    """A run was over before a service had answered, or before it was asked."""

    def __init__(self, service: str, detail: str = "the time of this run is over") -> None:
        super().__init__(service, detail, is_final=True)


class LostRaceError(StatusAppError):
    """The stored rows have changed since they were read."""


class QueryRefusedError(StatusAppError):
    """The hub refuses a query."""


class ContinuationError(StatusAppError):
    """The hub refuses the continuation of a query."""
