"""Sends one message to one target over HTTPS, and says briefly why it did not arrive.

A message goes only where the operator has set, whatever an answer says: redirects are not followed, and a name that
resolves to this machine or its link is refused.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from status_app.errors import StatusAppError, UnavailableError
from status_app.notify.targets import Auth, Target, is_refused
from status_app.retry import RetryPolicy, retry_after
from status_core import REDACTED, clean

if TYPE_CHECKING:
    from azure.identity.aio import DefaultAzureCredential

TIMEOUT: Final = 10.0
"""Seconds for one attempt, including its answer."""
LONGEST_WAIT: Final = 5.0
"""The longest wait in seconds between attempts that a target may ask for. For a longer one it is left alone."""
RETRY: Final = RetryPolicy(attempts=3, first_wait=1.0, longest_wait=LONGEST_WAIT, within=30.0)
KEPT: Final = 200
"""Characters of an answer that are stored."""
_READ: Final = 4 * KEPT
"""Bytes of an answer that are read."""
_LONGEST_ID: Final = 1000
"""Characters of an id in a header."""
_SHORTEST_SECRET: Final = 6
"""The shortest part of an address that is blanked in an answer."""
_MESSAGE_REFUSED: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
"""Answers about this one message: the next one may be accepted."""


class DeliveryError(UnavailableError):
    """A target did not accept a message. The text shows no secret, and at most `KEPT` characters of the answer.

    Attributes:
        is_of_the_message: Whether the target refuses this message but may accept another one.
    """

    def __init__(
        self, target: str, detail: str, *, wait: float = 0.0, is_final: bool = False, is_of_the_message: bool = False
    ) -> None:
        super().__init__(f"target {target}", detail, retry_after=wait, is_final=is_final)
        self.detail = detail
        self.is_of_the_message = is_of_the_message


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send.

    Attributes:
        id: The id of the news, the same when it is sent again.
        body: UTF-8.
    """

    id: str
    content_type: str
    body: bytes


class Webhooks:
    """Sends messages. Connections are opened on first use.

    Args:
        sleep: Waits that many seconds between attempts.
        is_local: Whether addresses on this machine are allowed.
        tls: Which certificates to trust; None for the system's.
        timeout: Seconds for one attempt.
    """

    def __init__(
        self,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        is_local: bool = False,
        tls: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._sleep = sleep
        self._is_local = is_local
        self._tls = tls
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._credential: DefaultAzureCredential | None = None

    async def send(self, target: Target, message: Message) -> None:
        """Send a message, in at most three attempts.

        Raises:
            DeliveryError: The target did not accept it.
        """
        await RETRY.run(lambda: self.send_once(target, message), sleep=self._sleep)

    async def send_once(self, target: Target, message: Message) -> int:
        """Send a message in one attempt. Returns the status of the answer.

        Raises:
            DeliveryError: The target did not accept it.
        """
        try:
            async with asyncio.timeout(self._timeout):
                self._check_literal(target.url)
                headers = await self._headers(target, message)
                async with self._connected().post(
                    target.url, data=message.body, headers=headers, allow_redirects=False
                ) as response:
                    if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
                        return response.status
                    raise _refusal(target, response, await _beginning(response.content))
        except TimeoutError:
            raise DeliveryError(target.name, f"no answer in {self._timeout:g} s") from None
        except RefusedAddressError:
            raise DeliveryError(target.name, "its address is on this machine or its link", is_final=True) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:  # their texts hold the address
            raise DeliveryError(target.name, f"no answer, {type(error).__name__}") from None

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        credential, self._credential = self._credential, None
        if session is not None:
            await session.close()
        if credential is not None:
            await credential.close()

    def _check_literal(self, url: str) -> None:
        """Check an address that needs no resolver."""
        with suppress(ValueError):  # not a literal address
            if not self._is_local and is_refused(urlsplit(url).hostname or ""):
                raise RefusedAddressError

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=_CheckedResolver(is_local=self._is_local), ssl=self._tls or True, use_dns_cache=False
            )
            # Its own jar would send cookies of one target to another one on the same host.
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        return self._session

    async def _headers(self, target: Target, message: Message) -> Mapping[str, str]:
        headers = {
            "Content-Type": message.content_type,
            "Idempotency-Key": message.id.encode("unicode_escape").decode()[:_LONGEST_ID],
            "Accept-Encoding": "identity",  # answers are not decompressed
            "User-Agent": "edge-deployment-status",
        }
        if target.header is not None:
            headers[target.header[0]] = target.header[1]
        if target.auth is Auth.IDENTITY:
            headers["Authorization"] = f"Bearer {await self._token(target)}"
        return headers

    async def _token(self, target: Target) -> str:
        from azure.core.exceptions import AzureError  # noqa: PLC0415 (only with an identity)
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 (0.2 s, and only with an identity)

        self._credential = self._credential or DefaultAzureCredential()
        try:
            return (await self._credential.get_token(target.scope)).token
        except AzureError as error:
            raise DeliveryError(target.name, f"no token for it, {type(error).__name__}") from None


class RefusedAddressError(StatusAppError):
    """A name resolves to an address that is refused."""


class _CheckedResolver(AbstractResolver):
    """Resolves names as the system does, and refuses this machine and its link."""

    def __init__(self, *, is_local: bool) -> None:
        self._is_local = is_local
        self._system = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._system.resolve(host, port, family)
        if not self._is_local and any(is_refused(result["host"]) for result in found):
            raise RefusedAddressError
        return found

    async def close(self) -> None:
        await self._system.close()


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """Read the first `_READ` bytes of an answer, or all of it. A shorter piece might end within a secret."""
    body = b""
    while len(body) < _READ and (piece := await content.read(_READ - len(body))):
        body += piece
    return body


def _refusal(target: Target, response: aiohttp.ClientResponse, body: bytes) -> DeliveryError:
    status = response.status
    words = _words(target, body)
    detail = f"answer {status}: {words}" if words else f"answer {status}"
    if status < HTTPStatus.BAD_REQUEST:
        detail = f"answer {status}, a redirect, which is not followed"
    wait = retry_after(response.headers.get("Retry-After", ""))
    is_busy = status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
    is_final = wait > LONGEST_WAIT or not (is_busy or status >= HTTPStatus.INTERNAL_SERVER_ERROR)
    return DeliveryError(
        target.name, detail, wait=max(wait, 0.0), is_final=is_final, is_of_the_message=status in _MESSAGE_REFUSED
    )


def _words(target: Target, body: bytes) -> str:
    """Return the text of an answer, without the parts of an address or a key that it quotes."""
    text = body.decode("utf-8", "replace")
    if len(body) >= _READ:  # the last word may be part of a secret
        text = " ".join(text.split()[:-1])
    parts = urlsplit(target.url)
    secrets = {target.url, *parts.path.split("/"), parts.query}
    for name_and_value in parts.query.split("&"):
        secrets.add(name_and_value.partition("=")[2])
    if target.header is not None:
        secrets.add(target.header[1])
    secrets |= {unquote(secret) for secret in secrets}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, REDACTED)
    return clean(text.strip(), KEPT)
