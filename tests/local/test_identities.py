"""The stand-in for a managed identity, and the services that take its tokens."""

import time
from http import HTTPStatus

import aiohttp
import pytest

from local.iothub.authorization import AUDIENCE, refusal_of
from local.managed_identity import ManagedIdentity
from local.tokens import LIFETIME, issue_token, token_refusal


async def ask(identity: ManagedIdentity, client_id: str, header: str) -> tuple[int, dict[str, str]]:
    endpoint = identity.environment["IDENTITY_ENDPOINT"]
    query = {"resource": AUDIENCE, "client_id": client_id}
    async with (
        aiohttp.ClientSession() as session,
        session.get(endpoint, params=query, headers={"X-IDENTITY-HEADER": header}) as answer,
    ):
        return answer.status, await answer.json()


async def test_an_identity_gets_tokens_that_the_hub_takes() -> None:
    async with ManagedIdentity("mine") as identity:
        status, answer = await ask(identity, "mine", identity.environment["IDENTITY_HEADER"])
    assert status == HTTPStatus.OK
    assert refusal_of(f"Bearer {answer['access_token']}", host="hub", key_name="", key="") is None
    assert identity.audiences == [AUDIENCE]


async def test_a_request_for_another_identity_or_without_the_header_gets_no_token() -> None:
    async with ManagedIdentity("mine") as identity:
        other, _ = await ask(identity, "other", identity.environment["IDENTITY_HEADER"])
        outside, _ = await ask(identity, "mine", "guessed")
    assert (other, outside) == (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN)
    assert identity.audiences == []


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "a.e30.c", "a.W10.c"])
def test_what_is_no_token_is_refused(token: str) -> None:
    assert token_refusal(token, AUDIENCE) == "the token cannot be read"


def test_a_token_for_another_service_is_refused() -> None:
    assert token_refusal(issue_token("https://storage.azure.com"), AUDIENCE) == (
        "the token is for 'https://storage.azure.com'"
    )


def test_a_token_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    token, now = issue_token(AUDIENCE), time.time()
    monkeypatch.setattr(time, "time", lambda: now + LIFETIME)
    assert token_refusal(token, AUDIENCE) == "the token has expired"
