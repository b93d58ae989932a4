"""Messages to a real HTTPS server: what it takes, what it refuses, and how that is reported."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

import pytest
from aiohttp import web
from webhook_target import KEY, PATH, WebhookTarget, webhook_target

from local.http_server import HttpServer
from local.managed_identity import ManagedIdentity
from status_app.notify.targets import Auth, Format, Target
from status_app.notify.webhook import KEPT, DeliveryError, Message, Webhooks

MESSAGE = Message("hub1/edge-01/2", "application/json", b'{"a": 1}')


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[WebhookTarget, Webhooks]]:
    async with webhook_target(tmp_path, timeout=20.0) as found:
        yield found


async def refusal(both: tuple[WebhookTarget, Webhooks], *answers: web.Response) -> DeliveryError:
    target, webhooks = both
    target.answers = list(answers)
    with pytest.raises(DeliveryError) as raised:
        await webhooks.send(target.target(), MESSAGE)
    text = str(raised.value)
    assert "SECRET" not in text
    assert "s3cret" not in text
    assert KEY not in text
    return raised.value


async def test_a_message_arrives_unchanged_under_its_id(both: tuple[WebhookTarget, Webhooks]) -> None:
    target, webhooks = both
    await webhooks.send(target.target(auth=Auth.HEADER, header=("aeg-sas-key", KEY)), MESSAGE)
    (got,) = target.taken
    assert (got.path, got.id, got.content_type, got.body) == (PATH, MESSAGE.id, "application/json", {"a": 1})
    assert got.headers["aeg-sas-key"] == KEY


async def test_an_id_is_escaped_to_ascii_in_the_header(both: tuple[WebhookTarget, Webhooks]) -> None:
    target, webhooks = both
    await webhooks.send(target.target(), Message("hub1/gerät/2", "application/json", b"{}"))
    assert target.taken[0].id == r"hub1/ger\xe4t/2"


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_message_that_is_refused_is_sent_once_and_the_next_may_be_taken(
    both: tuple[WebhookTarget, Webhooks], status: int
) -> None:
    error = await refusal(both, web.Response(status=status, text="no such field"))
    assert error.detail == f"answer {status}: no such field"
    assert error.is_of_the_message
    assert len(both[0].received) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_target_that_does_not_know_the_key_or_the_path_is_asked_once(
    both: tuple[WebhookTarget, Webhooks], status: int
) -> None:
    error = await refusal(both, web.Response(status=status))
    assert error.detail == f"answer {status}"
    assert not error.is_of_the_message
    assert len(both[0].received) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_target_that_fails_is_asked_three_times(both: tuple[WebhookTarget, Webhooks], status: int) -> None:
    error = await refusal(both, *[web.Response(status=status) for _ in range(3)])
    assert not error.is_of_the_message
    assert len(both[0].received) == 3


async def test_every_attempt_to_send_a_message_has_the_same_id(
    both: tuple[WebhookTarget, Webhooks],
) -> None:
    target, webhooks = both
    target.answers = [web.Response(status=500), web.Response(status=429, headers={"Retry-After": "1"})]
    await webhooks.send(target.target(), MESSAGE)
    assert [message.id for message in target.received] == [MESSAGE.id] * 3


async def test_a_target_that_asks_for_a_long_wait_is_asked_once(both: tuple[WebhookTarget, Webhooks]) -> None:
    error = await refusal(both, web.Response(status=429, headers={"Retry-After": "600"}))
    assert error.retry_after == 600
    assert len(both[0].received) == 1


async def test_a_target_that_never_answers_is_given_up(tmp_path: Path) -> None:
    async with webhook_target(tmp_path, timeout=0.2) as both:
        both[0].silent = True
        assert (await refusal(both)).detail == "no answer in 0.2 s"


async def test_two_hundred_characters_of_an_answer_of_a_megabyte_are_kept(
    both: tuple[WebhookTarget, Webhooks],
) -> None:
    error = await refusal(both, web.Response(status=400, text="long words " * 100_000))
    assert error.detail.startswith("answer 400: long words")
    assert len(error.detail) <= len("answer 400: ") + KEPT


async def test_an_address_that_an_answer_quotes_is_blanked(both: tuple[WebhookTarget, Webhooks]) -> None:
    target = both[0].target()
    text = f"no {target.url}, no {PATH}, no T0SECRET0PATH, no sig=s3cret0signature " + "words " * 200
    error = await refusal(both, web.Response(status=404, text=text))
    assert error.detail.startswith("answer 404: no ***, no /hooks/***, no ***, no *** words")


async def test_a_secret_in_an_answer_that_arrives_in_pieces_is_blanked(tmp_path: Path) -> None:
    async def in_pieces(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=404)
        await response.prepare(request)
        await response.write(b"no /hooks/T0SECRET0")
        await asyncio.sleep(0.2)  # so that it goes alone; the test passes also where it does not
        await response.write(b"PATH here")
        return response

    async with webhook_target(tmp_path, timeout=60.0) as (_, webhooks):
        application = web.Application()
        application.router.add_post("/{path:.*}", in_pieces)
        async with HttpServer(application) as server:
            target = Target("ops", Format.CLOUDEVENTS, f"http://127.0.0.1:{server.port}{PATH}")
            with pytest.raises(DeliveryError) as raised:
                await webhooks.send_once(target, MESSAGE)
    assert raised.value.detail == "answer 404: no /hooks/*** here"


async def test_a_redirect_is_not_followed(both: tuple[WebhookTarget, Webhooks]) -> None:
    asked: list[str] = []

    async def other_host(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", other_host)
    async with HttpServer(application) as other:
        elsewhere = {"Location": f"http://127.0.0.1:{other.port}/stolen"}
        error = await refusal(both, web.Response(status=HTTPStatus.TEMPORARY_REDIRECT, headers=elsewhere))
    assert error.detail == "answer 307, a redirect, which is not followed"
    assert asked == []


async def test_a_target_that_is_gone_is_named_without_its_address(tmp_path: Path) -> None:
    async with webhook_target(tmp_path) as (target, webhooks):
        gone = target.target()
        await target.__aexit__(None, None, None)
        with pytest.raises(DeliveryError) as raised:
            await webhooks.send(gone, MESSAGE)
        assert raised.value.detail == "no answer, ClientConnectorError"
        await target.__aenter__()


async def test_a_target_with_an_untrusted_certificate_gets_nothing(tmp_path: Path) -> None:
    async with webhook_target(tmp_path, tls=None) as (target, webhooks):
        with pytest.raises(DeliveryError, match="ClientConnectorCertificateError"):
            await webhooks.send(target.target(), MESSAGE)
        assert target.received == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "169.254.169.254"])
async def test_nothing_is_sent_to_this_machine_or_its_link(tmp_path: Path, host: str) -> None:
    async with webhook_target(tmp_path, is_local=False) as (target, webhooks):
        with pytest.raises(DeliveryError, match="on this machine or its link"):
            await webhooks.send(Target("ops", Format.SLACK, f"https://{host}:{target.port}/"), MESSAGE)
        assert target.received == []


async def test_many_messages_are_sent_at_once(both: tuple[WebhookTarget, Webhooks]) -> None:
    all_are_here = asyncio.Barrier(20)

    async def together(_: web.Request) -> web.Response:
        await all_are_here.wait()
        return web.Response(status=202)

    application = web.Application()
    application.router.add_post("/", together)
    async with HttpServer(application) as server:
        target = Target("ops", Format.CLOUDEVENTS, f"http://127.0.0.1:{server.port}/")
        await asyncio.gather(*(both[1].send_once(target, MESSAGE) for _ in range(all_are_here.parties)))


async def test_the_beginning_of_a_secret_where_the_answer_is_cut_is_left_out(
    both: tuple[WebhookTarget, Webhooks],
) -> None:
    url = f"{both[0].target().url} "  # blanked, it makes room for what is read last
    text = url * (700 // len(url))
    text += "y" * (795 - len(text)) + " " + PATH.rpartition("/")[2]
    error = await refusal(both, web.Response(status=404, text=text))
    assert error.detail.endswith("y")


async def test_a_target_with_an_identity_gets_a_token_for_its_scope(
    both: tuple[WebhookTarget, Webhooks], monkeypatch: pytest.MonkeyPatch
) -> None:
    target, webhooks = both
    grid = target.target(auth=Auth.IDENTITY, scope="https://eventgrid.azure.net/.default")
    async with ManagedIdentity("the-app") as identity:
        for name, value in identity.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AZURE_CLIENT_ID", "the-app")
        await webhooks.send(grid, MESSAGE)
        assert target.taken[0].headers["Authorization"].startswith("Bearer ey")
        assert identity.audiences == ["https://eventgrid.azure.net"]
        await webhooks.close()
        monkeypatch.setenv("AZURE_CLIENT_ID", "another")
        with pytest.raises(DeliveryError, match="no token for it, ClientAuthenticationError"):
            await webhooks.send_once(grid, MESSAGE)
    assert len(target.received) == 1
