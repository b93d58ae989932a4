"""The table service: one client for all tables, and its failures as errors of the app."""

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
"""Most entities in one transaction."""

PAGE: Final = 1000
"""Rows of one answer."""

LONGEST_WAIT: Final = 5
"""Most seconds before another attempt, whatever Retry-After says. The host or the next run tries again later."""

ATTEMPT_WITHIN: Final = 15.0
"""Seconds for one attempt, including its answer."""
CALL_WITHIN: Final = 30.0
"""Seconds after the start of the first attempt in which another may start. A call ends within the sum of both."""

_RETRIES: Final = {"retry_total": 3, "retry_backoff_factor": 0.3, "retry_backoff_max": LONGEST_WAIT}
_CONNECTION_TIMEOUT: Final = 5
_LOST: Final = (404, 409, 412)
_NOT_NOW: Final = (401, 403, 408, 429)
"""A new role takes minutes to take effect, and a busy service asks to wait."""
_SERVER_ERROR: Final = 500


def table_service(
    tables: str,
    clock: ServiceClock | None = None,
    *,
    attempt_within: float = ATTEMPT_WITHIN,
    call_within: float = CALL_WITHIN,
) -> TableServiceClient:
    """Create a client of the service in `STATUS_TABLES`, with a connection string or the app's identity.

    Args:
        tables: The setting.
        clock: Learns the service's time from its answers.
        attempt_within: Seconds for one attempt.
        call_within: Seconds in which another attempt may start.
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
    """Handle each answer, including those that are retried."""
    record_answer(response)
    _cap_wait(response)


def _cap_wait(response: PipelineResponse[Any, Any]) -> None:
    """Lower a Retry-After: the SDK would wait for as long as it says, even an hour."""
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
    """Convert the SDK's errors to the app's.

    Args:
        guarded: The call has a condition, so a conflict means that another writer was first.

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
        if isinstance(error, IncompleteReadError):  # a truncated answer has no status
            raise UnavailableError("tables", "the answer was cut off") from error
        raise
    except AzureError as error:
        raise UnavailableError("tables", type(error).__name__) from error


async def find_row(client: TableClient, key: Mapping[str, str]) -> TableEntity | None:
    """Read the row with a key; None if there is none. It is a query, because a missing row is not an error then.

    Raises:
        ResourceNotFoundError: The table does not exist.
        UnavailableError: The table service does not answer.
    """
    query = " and ".join(f"{name} eq '{value}'" for name, value in key.items())
    with table_errors():
        async for row in client.query_entities(query):
            return row
    return None
