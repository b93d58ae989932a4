"""Transactions: encodes operations as a `$batch` body, and decodes the answer.

The body is documented by Table Storage under "Performing entity group transactions": a multipart message with one
changeset that has a request for each operation. The SDK builds and parses it with Python's `email` package, which costs
more CPU than the rest of a write. Here the text is joined and split directly. Everything else is the SDK's: its rules
convert columns to JSON, and the request goes through its pipeline, with its authentication and retries.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import batched
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.core.rest import HttpRequest
from azure.data.tables import RequestTooLargeError, TableTransactionError, TransactionOperation, UpdateMode
from azure.data.tables._serialize import _add_entity_properties
from azure.data.tables.aio import TableClient

from status_app.errors import StatusAppError
from status_app.storage.client import TRANSACTION_LIMIT
from status_app.storage.request_metrics import record

type Operation = (
    tuple[TransactionOperation, Mapping[str, Any]] | tuple[TransactionOperation, Mapping[str, Any], Mapping[str, Any]]
)
"""The operation on a row, and its options: `mode` of an update or upsert (merge by default), `etag` to match."""

REPLACE: Final = {"mode": UpdateMode.REPLACE}
"""The option of an update or upsert that writes the whole row."""
_CONTENT_TYPE: Final = re.compile(rb"^Content-Type:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_ETAG: Final = re.compile(rb"^ETag:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_STATUS: Final = re.compile(rb"^HTTP/1\.[01] (\d{3})\b", re.MULTILINE)
"""Azurite puts a line before it if it refuses more than a hundred operations."""
_BOUNDARY: Final = re.compile(r'^multipart/mixed\s*;.*\bboundary="?([^";\s]+)', re.IGNORECASE)
_ERRORS: Final[Mapping[int, type[HttpResponseError]]] = {
    HTTPStatus.NOT_FOUND: ResourceNotFoundError,
    HTTPStatus.CONFLICT: ResourceExistsError,
    HTTPStatus.PRECONDITION_FAILED: ResourceModifiedError,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: RequestTooLargeError,
}
"""What the SDK raises if it refuses a transaction as a whole."""


class UnreadableAnswerError(StatusAppError, AzureError):
    """The answer to a transaction cannot be read. Whether it was done is unknown, as if the answer was lost.

    The message says what is wrong, and quotes nothing of it.
    """


@dataclass(frozen=True, slots=True)
class Part:
    """The answer to one operation, or to all of them if one was refused."""

    status: int
    etag: str
    body: bytes


async def submit(client: TableClient, operations: Sequence[Operation]) -> list[str]:
    """Submit a transaction: all operations are done, or none.

    Args:
        client: The table.
        operations: One to a hundred operations, all on different rows of one partition.

    Returns:
        The ETag of each row, empty for deleted ones.

    Raises:
        TableTransactionError: An operation was refused; `index` says which, and `status_code` and `error_code` why.
        HttpResponseError: The transaction as a whole was refused.
        AzureError: There was no answer, or no readable one.
    """
    batch, endpoint = f"batch_{uuid4()}", client.url.partition("?")[0]
    request = HttpRequest(
        "POST",
        f"{endpoint}/$batch",
        headers={
            "x-ms-version": client.api_version,
            "DataServiceVersion": "3.0",
            "MaxDataServiceVersion": "3.0;NetFx",
            "Content-Type": f"multipart/mixed; boundary={batch}",
            "Accept": "application/json",
        },
        content=encode(f"{endpoint}/{client.table_name}", operations, batch),
    )
    # A TableClient has no public way to send a custom request; its generated client has.
    response = await client._client.send_request(request, stream=True)  # noqa: SLF001 (see above)
    if not response.is_stream_consumed:  # the app's own transport has already read it
        await response.read()
    if response.status_code == HTTPStatus.ACCEPTED:
        parts = list(decode(response.headers.get("Content-Type", ""), response.content))
        record(client.table_name, "transaction", max((part.status for part in parts), default=0))
        return etags(parts, operations)
    if response.status_code < HTTPStatus.BAD_REQUEST:
        raise UnreadableAnswerError(f"the answer to a transaction has status {response.status_code}")
    kind = _ERRORS.get(response.status_code, HttpResponseError)
    raise _refusal(kind, response.status_code, response.content, response.headers.get("x-ms-error-code", ""))


async def replace(client: TableClient, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write whole rows of one partition. One request per hundred.

    Raises:
        AzureError: As of `submit`. Some rows may be written.
    """
    for some in batched(rows, TRANSACTION_LIMIT, strict=False):
        if len(some) == 1:  # cheaper alone
            await client.upsert_entity(some[0], mode=UpdateMode.REPLACE)
        else:
            await submit(client, [(TransactionOperation.UPSERT, row, REPLACE) for row in some])


async def delete(client: TableClient, rows: Iterable[Mapping[str, Any]]) -> None:
    """Delete rows of one partition by their keys, which may be gone already.

    One request per hundred, and one per row where another process has deleted some of them.

    Raises:
        AzureError: As of `submit`. Some rows may be deleted.
    """
    for some in batched(rows, TRANSACTION_LIMIT, strict=False):
        try:
            await submit(client, [(TransactionOperation.DELETE, row) for row in some])
        except TableTransactionError as error:
            if error.status_code != HTTPStatus.NOT_FOUND:
                raise
            for row in some:
                await client.delete_entity(row["PartitionKey"], row["RowKey"])


def encode(table: str, operations: Sequence[Operation], batch: str) -> bytes:
    """Encode the body of a transaction.

    Args:
        table: The address of the table.
        operations: The operations.
        batch: The boundary of the message.
    """
    changeset = batch.replace("batch", "changeset")
    parts = "".join(
        f"--{changeset}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
        f"Content-ID: {number}\r\n\r\n{_request(table, *operation)}\r\n"
        for number, operation in enumerate(operations)
    )
    head = f"--{batch}\r\nContent-Type: multipart/mixed; boundary={changeset}\r\n\r\n"
    return f"{head}{parts}--{changeset}--\r\n--{batch}--\r\n".encode()


def decode(content_type: str, body: bytes) -> Iterator[Part]:
    """Yield the parts of a multipart message, including those of its changesets.

    Raises:
        UnreadableAnswerError: It is not such a message, or it is incomplete.
    """
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise UnreadableAnswerError("the answer to a transaction is not multipart")
    _, *sections = body.split(b"--" + boundary[1].encode())
    if not sections or not sections[-1].startswith(b"--"):
        raise UnreadableAnswerError("the answer to a transaction has no end")
    for section in sections[:-1]:
        head, _, content = section.partition(b"\r\n\r\n")
        found = _CONTENT_TYPE.search(head)
        kind = found[1].decode("latin-1") if found else ""
        if kind.startswith("multipart/"):
            yield from decode(kind, content)
        else:
            yield _part(content)


def etags(parts: Iterable[Part], operations: Sequence[Operation]) -> list[str]:
    """Return the ETag of each row in an answer, empty for deleted ones.

    Raises:
        TableTransactionError: An operation was refused.
        UnreadableAnswerError: The answer does not match these operations.
    """
    found = []
    for part in parts:
        if part.status >= HTTPStatus.BAD_REQUEST:
            too_large = part.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            raise _refusal(RequestTooLargeError if too_large else TableTransactionError, part.status, part.body)
        found.append(part.etag)
    if len(found) != len(operations) or not all(
        etag or operation[0] is TransactionOperation.DELETE for etag, operation in zip(found, operations, strict=False)
    ):
        raise UnreadableAnswerError("the answer to a transaction is not one to each operation")
    return found


def _request(
    table: str, kind: TransactionOperation, row: Mapping[str, Any], options: Mapping[str, Any] | None = None
) -> str:
    """Encode the request for one operation."""
    options, headers, address = options or {}, "", table
    if kind is TransactionOperation.CREATE:
        # The answer need not repeat the row.
        method, headers = "POST", "Prefer: return-no-content\r\n"
    else:
        method = "PUT" if options.get("mode") is UpdateMode.REPLACE else "PATCH"
        address += f"(PartitionKey='{_key(row['PartitionKey'])}',RowKey='{_key(row['RowKey'])}')"
    if kind in (TransactionOperation.UPDATE, TransactionOperation.DELETE):
        headers = f"If-Match: {options.get('etag', '*')}\r\n"
    common = f"HTTP/1.1\r\nDataServiceVersion: 3.0\r\nAccept: application/json;odata=minimalmetadata\r\n{headers}"
    if kind is TransactionOperation.DELETE:
        return f"DELETE {address} {common}\r\n"
    body = json.dumps(_add_entity_properties(row))  # ASCII, so its length is that of its bytes
    return f"{method} {address} {common}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"


def _key(value: str) -> str:
    """Quote a key for an address."""
    return quote(value.replace("'", "''"), safe="")


def _part(content: bytes) -> Part:
    """Decode the answer to one operation: HTTP inside the message."""
    head, _, body = content.partition(b"\r\n\r\n")
    status, etag = _STATUS.search(head), _ETAG.search(head)
    if status is None:
        raise UnreadableAnswerError("a part of the answer to a transaction has no status")
    return Part(int(status[1]), etag[1].decode("latin-1") if etag else "", body)


def _refusal(kind: type[HttpResponseError], status: int, body: bytes, code: str = "") -> HttpResponseError:
    """Create the error of a refusal, as the SDK does."""
    text = f"answer {status}"
    try:
        details = json.loads(body)["odata.error"]
        code, text = str(details["code"]), str(details["message"]["value"])
    except (ValueError, LookupError, TypeError):
        pass  # the status is all there is
    error = kind(message=f"{text}\nErrorCode:{code}")
    error.status_code = status
    error.error_code = code  # type: ignore[attr-defined]  # as the SDK adds it to its errors
    return error
