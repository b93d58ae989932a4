"""The status of a fleet, asked of the app's HTTP API."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from status_app.commands.fleet_status.fleet_status import Answer, RefusedError
from status_app.errors import UnavailableError
from status_app.retry import RetryPolicy, retry_after
from status_app.service_clock import machine_time

RETRY: Final = RetryPolicy(attempts=3, first_wait=1.0, longest_wait=20.0, within=60.0)
TIMEOUT: Final = 20.0
"""Seconds that an answer can take."""
PAGE: Final = 200
"""Items of one answer: the most that the API gives."""

_PROBLEM: Final = "application/problem+json"
_OK: Final = 200
_REDIRECTS: Final = range(300, 400)
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_TRANSIENT: Final = (408, 429)
_SERVER_ERROR: Final = 500


class ApiFleetStatus:
    """Asks the API.

    Args:
        url: The app's address, such as `https://APP.azurewebsites.net`.
        key: A key of the app's functions; None where it asks for none.
        sleep: Waits that many seconds before another attempt.
        timeout: Seconds that an answer can take.
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
        self._session: aiohttp.ClientSession | None = None
        self._answered_at: datetime | None = None

    async def deployment(self, deployment: str) -> Answer | None:
        """As FleetStatus says."""
        return await self._get(f"deployments/{_segment(deployment)}")

    async def devices(self, deployment: str, *, state: str | None = None, stuck: bool = False) -> AsyncIterator[Answer]:
        """As FleetStatus says. One request for each 200 devices."""
        query = {"deployment": deployment, "limit": str(PAGE)}
        query |= {"state": state} if state is not None else {}
        query |= {"stuck": "true"} if stuck else {}
        while True:
            answer = await self._get(f"devices?{urlencode(query)}") or {}
            for device in _items(answer):
                yield device
            if not answer.get("next"):
                return
            query["next"] = answer["next"]

    async def device(self, device_id: str) -> Answer | None:
        """As FleetStatus says."""
        return await self._get(f"devices/{_segment(device_id)}")

    async def transitions(self, device_id: str, limit: int) -> Sequence[Answer]:
        """As FleetStatus says."""
        answer = await self._get(f"devices/{_segment(device_id)}/transitions?limit={limit}")
        return _items(answer or {"items": []})

    async def listed_at(self) -> str | None:
        """As FleetStatus says."""
        answer = await self._get("deployments?limit=1") or {}
        listed: str | None = answer.get("listedAt")
        return listed

    def now(self) -> datetime:
        """As FleetStatus says: the header `Date` of the last answer."""
        return self._answered_at or machine_time()

    async def close(self) -> None:
        """As FleetStatus says."""
        if self._session is not None:
            await self._session.close()

    async def _get(self, path: str) -> Answer | None:
        """The answer to a request; None where the API says that it does not know what is asked for.

        Raises:
            UnavailableError: The API did not answer, or not yet, on any attempt.
            RefusedError: It refuses, or something else than the API answers.
        """
        url = URL(f"{self._url}/api/{path}", encoded=True)
        return await RETRY.run(lambda: self._attempt(url), sleep=self._sleep)

    async def _attempt(self, url: URL) -> Answer | None:
        try:
            # A redirect is not followed: it would take the key along.
            async with self._client().get(url, allow_redirects=False) as response:
                self._answered_at = _made_at(response.headers.get("Date", "")) or self._answered_at
                if response.status == _OK:
                    return _object(await response.json())
                is_problem = response.content_type == _PROBLEM
                if response.status == _NOT_FOUND and is_problem:
                    return None
                if response.status in _TRANSIENT or response.status >= _SERVER_ERROR:
                    asked = retry_after(response.headers.get("Retry-After", ""))
                    raise _unavailable(f"answer {response.status}", asked)
                raise RefusedError(
                    _refusal(response.status, await response.json(content_type=None) if is_problem else {})
                )
        except TimeoutError:
            raise _unavailable(f"no answer within {self._timeout:.0f} seconds") from None
        except aiohttp.ClientSSLError:
            raise RefusedError("no trusted connection to the API: check the certificate of its address") from None
        except (aiohttp.ContentTypeError, ValueError):  # the error may quote the body
            raise RefusedError("the answer is not the API's: check its address") from None
        except aiohttp.ClientConnectorError:
            raise _unavailable("no connection") from None
        except aiohttp.ClientError as error:
            raise _unavailable(type(error).__name__) from None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self._timeout)
            # A command runs behind a proxy as any other of its shell does.
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout, trust_env=True)
        return self._session


def _made_at(date: str) -> datetime | None:
    """When an answer was made, by its header `Date`."""
    try:
        made = parsedate_to_datetime(date)
    except ValueError:
        return None
    return made if made.tzinfo is not None else None


def _unavailable(detail: str, retry_after: float = 0.0) -> UnavailableError:
    """The error of a request that was not answered."""
    return UnavailableError("the API", detail, retry_after=retry_after)


def _refusal(status: int, problem: Any) -> str:
    if status == _UNAUTHORIZED:
        return "the API refuses the key (answer 401): set DEPLOYMENT_STATUS_KEY to a function key of the app"
    if status == _FORBIDDEN:
        return "the API refuses access (answer 403): the app is stopped, or its network rules keep this machine out"
    if status == _NOT_FOUND:
        return "there is no API at this address (answer 404): check DEPLOYMENT_STATUS_URL, or the app's release"
    if status in _REDIRECTS:
        return f"the address leads elsewhere (answer {status}): give the one that it leads to, with https"
    detail = problem.get("detail") if isinstance(problem, dict) else None
    return f"the API refuses the request (answer {status})" + (f": {detail}" if detail else "")


def _object(value: Any) -> Answer:
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
