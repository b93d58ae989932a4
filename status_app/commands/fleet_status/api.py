"""Reads the status of a fleet from the app's HTTP API, with only the standard library."""

import asyncio
import http.client
import json
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

from status_app.commands.fleet_status.fleet_status import PAGE, Answer, RefusedError
from status_app.errors import UnavailableError
from status_app.retry import RetryPolicy, retry_after
from status_app.service_clock import machine_time

if TYPE_CHECKING:
    from email.message import Message

RETRY: Final = RetryPolicy(attempts=3, first_wait=1.0, longest_wait=20.0, within=60.0)
TIMEOUT: Final = 20.0
"""Seconds that an answer may take."""

_CHUNK: Final = 2**16
_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"
_OK: Final = 200
_REDIRECTS: Final = range(300, 400)
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_TRANSIENT: Final = (408, 429)
_SERVER_ERROR: Final = 500


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect, which would take the key along to another host."""

    def redirect_request(  # noqa: PLR0913, PLR0917 (as urllib calls it)
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: "Message[str, str]", newurl: str
    ) -> Request | None:
        """Return None, so that the redirect itself is the answer."""


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    kind: str
    wait: float
    date: str
    body: bytes

    def json(self) -> Any:
        """Parse the body.

        Raises:
            ValueError: The body is not JSON.
        """
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None


class ApiFleetStatus:
    """Queries the API.

    Args:
        url: The app's address, such as `https://APP.azurewebsites.net`.
        key: A function key of the app; None if it needs none.
        sleep: Waits that many seconds before another attempt.
        timeout: Seconds that an answer may take.
    """

    def __init__(
        self,
        url: str,
        key: str | None,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        timeout: float = TIMEOUT,
    ) -> None:
        self._url = url
        self._headers = {} if key is None else {"x-functions-key": key}
        self._sleep = sleep
        self._timeout = timeout
        self._answered_at: datetime | None = None
        # build_opener reads the proxy from the environment, like other commands in the shell.
        self._opener = build_opener(_NoRedirect)

    async def deployment(self, deployment: str, cohort: str | None = None) -> Answer | None:
        """See FleetStatus."""
        query = "" if cohort is None else f"?{urlencode({'cohort': cohort})}"
        return await self._get(f"deployments/{_segment(deployment)}{query}")

    async def devices(
        self, deployment: str, *, state: str | None = None, stuck: bool = False, cohort: str | None = None
    ) -> AsyncIterator[Answer]:
        """See FleetStatus. One request per 200 devices."""
        words = {"deployment": deployment}
        words |= {"state": state} if state is not None else {}
        words |= {"stuck": "true"} if stuck else {}
        words |= {"cohort": cohort} if cohort is not None else {}
        async for device in self.items("devices", words):
            yield device

    async def items(self, name: str, words: Mapping[str, str], page: int = PAGE) -> AsyncIterator[Answer]:
        """See FleetLists. One request per page."""
        query = {**words, "limit": str(page)}
        while True:
            answer = await self._get(f"{name}?{urlencode(query)}") or {"items": []}
            for item in _items(answer):
                yield item
            if not answer.get("next"):
                return
            query["next"] = answer["next"]

    async def device(self, device_id: str) -> Answer | None:
        """See FleetStatus."""
        return await self._get(f"devices/{_segment(device_id)}")

    async def transitions(self, device_id: str, limit: int) -> Sequence[Answer]:
        """See FleetStatus."""
        answer = await self._get(f"devices/{_segment(device_id)}/transitions?limit={limit}")
        return _items(answer or {"items": []})

    async def listed_at(self) -> str | None:
        """See FleetStatus."""
        answer = await self._get("deployments?limit=1") or {}
        listed: str | None = answer.get("listedAt")
        return listed

    def now(self) -> datetime:
        """See FleetStatus. The `Date` header of the last answer."""
        return self._answered_at or machine_time()

    async def close(self) -> None:
        """Do nothing: each request has its own connection."""

    async def _get(self, path: str) -> Answer | None:
        """Return the answer to a request; None if the API does not know what is asked for.

        Raises:
            UnavailableError: No attempt got an answer.
            RefusedError: The API refuses, or something else than the API answers.
        """
        url = f"{self._url}/api/{path}"
        return await RETRY.run(lambda: self._attempt(url), sleep=self._sleep)

    async def _attempt(self, url: str) -> Answer | None:
        try:
            async with asyncio.timeout(self._timeout):
                response = await _in_a_thread(lambda: self._fetch(url))
            self._answered_at = _made_at(response.date) or self._answered_at
            if response.status == _OK:
                return _object(response)
            is_problem = response.kind == _PROBLEM
            if response.status == _NOT_FOUND and is_problem:
                return None
            if response.status in _TRANSIENT or response.status >= _SERVER_ERROR:
                raise _unavailable(f"answer {response.status}", response.wait)
            raise RefusedError(_refusal(response.status, response.json() if is_problem else {}))
        except URLError as error:
            raise self._not_reached(error.reason) from None
        except (TimeoutError, ssl.SSLError, OSError, http.client.HTTPException) as error:
            raise self._not_reached(error) from None
        except ValueError:  # the error may quote the body
            raise RefusedError("the answer is not the API's: check its address") from None

    def _fetch(self, url: str) -> _Response:
        """Return the answer to a request, whatever its status. It blocks."""
        end = time.monotonic() + self._timeout
        request = Request(url, headers=self._headers)  # noqa: S310 (the scheme of the address was checked)
        try:
            found = self._opener.open(request, timeout=self._timeout)
        except HTTPError as error:  # any status but success
            found = error
        with found:
            body = bytearray()
            while chunk := found.read1(_CHUNK):
                body += chunk
                if time.monotonic() > end:
                    raise TimeoutError
            wait = retry_after(found.headers.get("Retry-After", ""))
            date = found.headers.get("Date", "")
            return _Response(found.status, found.headers.get_content_type(), wait, date, bytes(body))

    def _not_reached(self, error: object) -> Exception:
        if isinstance(error, TimeoutError):
            return _unavailable(f"no answer within {self._timeout:.0f} seconds")
        if isinstance(error, ssl.SSLError):
            return RefusedError("no trusted connection to the API: check the certificate of its address")
        is_cut = isinstance(error, http.client.HTTPException)
        return _unavailable(type(error).__name__ if is_cut else "no connection")


async def _in_a_thread[Found](call: Callable[[], Found]) -> Found:
    """Run a blocking call in a thread. If the caller stops waiting, even at exit, the thread is left behind."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Found] = loop.create_future()

    def settle(found: Found | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(found)  # type: ignore[arg-type]  # None only if the call returned None

    def run() -> None:
        found, error = None, None
        try:
            found = call()
        except BaseException as raised:  # noqa: BLE001 (raised again where the call is awaited)
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nothing waits for it
            loop.call_soon_threadsafe(settle, found, error)

    threading.Thread(target=run, daemon=True).start()
    return await future


def _made_at(date: str) -> datetime | None:
    """Parse the `Date` header of an answer."""
    try:
        made = parsedate_to_datetime(date)
    except ValueError:
        return None
    return made if made.tzinfo is not None else None


def _unavailable(detail: str, retry_after: float = 0.0) -> UnavailableError:
    """Create the error of a request without an answer."""
    return UnavailableError("the API", detail, retry_after=retry_after)


def _refusal(status: int, problem: Any) -> str:
    if status == _UNAUTHORIZED:
        return "the API refuses the key (answer 401): set DEPLOYMENT_STATUS_KEY to a function key of the app"
    if status == _FORBIDDEN:
        return "the API refuses access (answer 403): the app is stopped, or its network rules keep this machine out"
    if status == _NOT_FOUND:
        return "there is no API at this address (answer 404): check DEPLOYMENT_STATUS_URL, or the app's release"
    if status in _REDIRECTS:
        return f"the address redirects (answer {status}): use the address that it redirects to, with https"
    detail = problem.get("detail") if isinstance(problem, dict) else None
    return f"the API refuses the request (answer {status})" + (f": {detail}" if detail else "")


def _object(response: _Response) -> Answer:
    value = response.json() if response.kind == _JSON else None
    if not isinstance(value, dict):
        raise ValueError("an answer of the API is an object")  # noqa: TRY004 (one error for every wrong answer)
    return value


def _items(answer: Answer) -> Sequence[Answer]:
    items = answer.get("items")
    if not isinstance(items, list):
        raise RefusedError("the answer is not the API's: check its address")
    return items


def _segment(name: str) -> str:
    return quote(name, safe="")
