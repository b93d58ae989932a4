"""The table service: one client for every table, and its failures in the app's own terms."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from azure.core.exceptions import AzureError, HttpResponseError, IncompleteReadError
from azure.core.pipeline import PipelineResponse
from azure.data.tables import TableEntity
from azure.data.tables.aio import TableClient, TableServiceClient

from status_app.errors import LostRaceError, UnavailableError
from status_app.service_clock import ServiceClock
from status_app.settings import is_connection_string
from status_app.storage.request_metrics import record_answer
from status_app.storage.transport import TableTransport

TRANSACTION_LIMIT: Final = 100
"""Entities that one transaction can hold."""

PAGE: Final = 1000
"""Rows of one answer."""

LONGEST_WAIT: Final = 5
"""Seconds before another attempt, whatever a Retry-After says: the host, or the next run, tries again later."""

ATTEMPT_WITHIN: Final = 15.0
"""Seconds for one attempt, its answer included."""
CALL_WITHIN: Final = 30.0
"""Seconds after the first attempt in which a further one can begin: a call ends within the two together."""

_RETRIES: Final = {"retry_total": 3, "retry_backoff_factor": 0.3, "retry_backoff_max": LONGEST_WAIT}
_CONNECTION_TIMEOUT: Final = 5
_LOST: Final = (404, 409, 412)
_NOT_NOW: Final = (401, 403, 408, 429)
"""A role takes minutes to hold, and a busy service says so."""
_SERVER_ERROR: Final = 500


def table_service(
    tables: str,
    clock: ServiceClock | None = None,
    *,
    attempt_within: float = ATTEMPT_WITHIN,
    call_within: float = CALL_WITHIN,
) -> TableServiceClient:
    """A client of the service that `STATUS_TABLES` names: by connection string, or by the app's identity.

    Args:
        tables: The setting.
        clock: What learns from the answers when they were made.
        attempt_within: Seconds for one attempt.
        call_within: Seconds in which a further attempt can begin.
    """
    options: dict[str, Any] = {
        # Proxy variables and netrc are not read for each request: this doubles the rate of single operations.
        "transport": TableTransport(
            within=attempt_within,
            clock=clock or ServiceClock(),
            use_env_settings=False,
            connection_timeout=_CONNECTION_TIMEOUT,
            read_timeout=attempt_within,
        ),
        "raw_response_hook": _answered,
        "timeout": call_within,
        **_RETRIES,
    }
    if is_connection_string(tables):
        return TableServiceClient.from_connection_string(tables, **options)
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 (0.2 s, and only with an identity)

    return TableServiceClient(tables, credential=DefaultAzureCredential(), **options)


def _answered(response: PipelineResponse[Any, Any]) -> None:
    """What is done with each answer, those to attempts that are made again among them."""
    record_answer(response)
    _cap_wait(response)


def _cap_wait(response: PipelineResponse[Any, Any]) -> None:
    """Lower a Retry-After: the SDK waits for as long as it says, be it an hour."""
    headers = response.http_response.headers
    wait = headers.get("Retry-After", "0")
    if not wait.isdecimal() or int(wait) > LONGEST_WAIT:
        headers["Retry-After"] = str(LONGEST_WAIT)


def is_unavailable(error: HttpResponseError) -> bool:
    """Whether the service did not answer, is busy, or refuses the app for now."""
    status = error.status_code or 0
    return status in _NOT_NOW or status >= _SERVER_ERROR


@contextmanager
def table_errors(*, guarded: bool = False) -> Iterator[None]:
    """Turn the SDK's failures into the app's.

    Args:
        guarded: The call has a condition, so that a conflict means that another writer was first.

    Raises:
        LostRaceError: The condition of a guarded call did not hold.
        UnavailableError: The service did not answer, is busy, or refuses the app, after the SDK's own retries.
    """
    try:
        yield
    except HttpResponseError as error:
        status = error.status_code or 0
        if guarded and status in _LOST:
            raise LostRaceError from error
        if is_unavailable(error):
            raise UnavailableError("tables", f"answer {status}") from error
        if isinstance(error, IncompleteReadError):  # an answer that was cut off has no status
            raise UnavailableError("tables", "the answer was cut off") from error
        raise
    except AzureError as error:
        raise UnavailableError("tables", type(error).__name__) from error


async def find_row(client: TableClient, key: Mapping[str, str]) -> TableEntity | None:
    """The row of a key; None where there is none. It is asked as a query, to which a missing row is no error.

    Raises:
        ResourceNotFoundError: There is no table.
        UnavailableError: The table service does not answer.
    """
    query = " and ".join(f"{name} eq '{value}'" for name, value in key.items())
    with table_errors():
        async for row in client.query_entities(query):
            return row
    return None
