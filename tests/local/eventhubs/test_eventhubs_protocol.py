"""AMQP itself, frame by frame: details that the SDK hides, and frames that no SDK sends."""

import struct

import pytest
from amqp_client import AmqpClient, connected
from namespaces import routed, running

from local.eventhubs.codec import Described, Symbol, Uint, Ulong, encode
from local.eventhubs.frames import (
    AMQP_HEADER,
    RECEIVER,
    SASL_FRAME,
    SASL_HEADER,
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    Flow,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    Transfer,
    frame,
)

PARTITION = "twins/ConsumerGroups/$Default/Partitions/0"
DATA = b"\x00\x53\x75"  # what comes before the data of a message


def condition(frame_with_error: Detach | Close) -> str:
    assert frame_with_error.error is not None
    return str(frame_with_error.error.value[0])


async def open_session(client: AmqpClient) -> None:
    await client.open()
    await client.receive(Begin)


def raw_frame(body: bytes, *, frame_type: int = 0, channel: int = 0) -> bytes:
    return struct.pack(">IBBH", 8 + len(body), 2, frame_type, channel) + body


def performative(code: int, *fields: object) -> bytes:
    return encode(Described(Ulong(code), list(fields)))


MALFORMED = {
    "no value": (raw_frame(b"junk"), "amqp:decode-error"),
    "half a value": (raw_frame(b"\x00"), "amqp:decode-error"),
    "no performative": (raw_frame(encode([])), "amqp:decode-error"),
    "unknown performative": (raw_frame(performative(0x99)), "amqp:decode-error"),
    "fewer fields than it declares": (raw_frame(b"\x00\x53\x14\xc0\x01\x09"), "amqp:decode-error"),
    "fewer fields than it needs": (raw_frame(performative(0x16)), "amqp:decode-error"),
    "more fields than there are": (raw_frame(performative(0x17, None, None)), "amqp:decode-error"),
    "a field of another type": (raw_frame(performative(0x16, "handle")), "amqp:decode-error"),
    "too large": (b"\xff\xff\xff\xff\x02\x00\x00\x00", "amqp:connection:framing-error"),
    "smaller than its header": (b"\x00\x00\x00\x08\x01\x00\x00\x00", "amqp:connection:framing-error"),
    "no session": (raw_frame(performative(0x17), channel=7), "amqp:not-allowed"),
    "no link": (raw_frame(performative(0x14, Uint(5))), "amqp:session:unattached-handle"),
    "frames too small for AMQP": (raw_frame(performative(0x10, "test", None, Uint(9))), "amqp:not-allowed"),
    "a session that has begun": (raw_frame(performative(0x11, None, Uint(0), Uint(1), Uint(1))), "amqp:not-allowed"),
    "a login in a session": (raw_frame(performative(0x41, Symbol("PLAIN"))), "amqp:not-allowed"),
    "a session in a login": (raw_frame(performative(0x17), frame_type=1), "amqp:not-allowed"),
}


@pytest.mark.parametrize(("malformed", "expected"), MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_frame_closes_its_connection_only(malformed: bytes, expected: str) -> None:
    async with running({"twins": 1}) as namespace, connected(namespace) as good, connected(namespace) as bad:
        await open_session(good)
        await open_session(bad)
        bad.writer.write(malformed)
        closed, _ = await bad.receive(Close)
        assert condition(closed) == expected
        assert await bad.ended()
        await good.attach_receiver(0, PARTITION)


async def test_another_protocol_is_answered_with_the_header_of_amqp() -> None:
    async with running({"twins": 1}) as namespace, connected(namespace) as client:
        client.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await client.read(8) == AMQP_HEADER
        assert await client.ended()


@pytest.mark.parametrize(("mechanism", "code"), [("PLAIN", 0), ("ANONYMOUS", 0), ("MSSBCBS", 0), ("GSSAPI", 1)])
async def test_a_login_passes_with_the_mechanisms_that_are_offered(mechanism: str, code: int) -> None:
    async with running({"twins": 1}) as namespace, connected(namespace) as client:
        client.writer.write(SASL_HEADER)
        assert await client.read(8) == SASL_HEADER
        offered, _ = await client.receive(SaslMechanisms)
        assert {"PLAIN", "ANONYMOUS", "MSSBCBS"} == set(offered.mechanisms)
        client.writer.write(frame(SASL_FRAME, 0, SaslInit(Symbol(mechanism), b"\0user\0password")))
        outcome, _ = await client.receive(SaslOutcome)
        assert code == outcome.outcome
        if code == 0:
            await open_session(client)
        else:
            assert await client.ended()


async def test_a_client_with_an_idle_time_out_gets_heartbeats() -> None:
    async with running({"twins": 1}) as namespace, connected(namespace) as client:
        await client.open(idle_time_out=40)
        bodies = [await client.read_frame() for _ in range(4)]
        assert bodies.count(b"") == 3  # the other one is the answer to begin


async def test_no_more_messages_come_than_the_credit_allows_and_a_drain_takes_back_what_is_left() -> None:
    async with running({"twins": 1}) as namespace, connected(namespace) as client:
        for _ in range(3):
            namespace.append("twins", routed(b""))
        await open_session(client)
        await client.attach_receiver(0, PARTITION)
        client.give_credit(0, 2, echo=True)
        deliveries = [(await client.receive(Transfer))[0].delivery_id for _ in range(2)]
        assert deliveries == [0, 1]
        state, _ = await client.receive(Flow)
        assert (state.delivery_count, state.link_credit) == (2, 0)
        client.give_credit(0, 9, received=2, frames=2, drain=True)
        await client.receive(Transfer)
        state, _ = await client.receive(Flow)
        assert (state.delivery_count, state.link_credit, state.drain) == (11, 0, True)
        namespace.append("twins", routed(b""))
        client.give_credit(0, 1, received=11, frames=3)
        assert (await client.receive(Transfer))[0].delivery_id == 3


async def test_a_large_message_comes_in_frames_as_fast_as_the_window_opens() -> None:
    body = bytes(range(256)) * 12
    async with running({"twins": 1}) as namespace, connected(namespace) as client:
        namespace.append("twins", routed(body))
        await client.open(window=1, max_frame_size=1024)
        await client.receive(Begin)
        await client.attach_receiver(0, PARTITION)
        client.give_credit(0, 5, window=1)
        message, more, frames = b"", True, 0
        while more:
            transfer, payload = await client.receive(Transfer)
            message += payload
            more = transfer.more
            frames += 1
            client.give_credit(0, 5, received=0 if more else 1, frames=frames, window=1)
        assert frames == 4
        assert message.endswith(body)


async def test_a_client_that_reads_late_gets_all_messages_in_order() -> None:
    bodies = [f"{number:02}".encode() * 100_000 for number in range(80)]  # more than the buffers of TCP hold
    async with running({"twins": 1}) as namespace, connected(namespace) as client:
        await client.open(max_frame_size=64 * 1024)
        await client.receive(Begin)
        await client.attach_receiver(0, PARTITION)
        client.give_credit(0, 100, echo=True)
        await client.receive(Flow)
        for sent in bodies:
            namespace.append("twins", routed(sent))
        for sent in bodies:
            message, more = b"", True
            while more:
                transfer, payload = await client.receive(Transfer)
                message += payload
                more = transfer.more
            assert message.endswith(sent)


async def test_a_message_in_several_frames_is_stored_once_and_an_aborted_one_never() -> None:
    async with running({"twins": 1}) as namespace, connected(namespace) as client:
        await open_session(client)
        await client.attach_sender(0, "twins")
        await client.receive(Flow)
        message = DATA + encode(b"x" * 900)
        client.send(Transfer(Uint(0), Uint(0), b"0", Uint(0), more=True), b"half of")
        client.send(Transfer(Uint(0), aborted=True), b" it")
        client.send(Transfer(Uint(0), Uint(1), b"1", Uint(0), more=True), message[:500])
        client.send(Transfer(Uint(0)), message[500:])
        disposition, _ = await client.receive(Disposition)
        assert (disposition.first, disposition.settled) == (1, True)
        assert [event.body for event in namespace.events("twins")] == [b"x" * 900]


async def test_a_message_that_is_too_large_ends_its_link_and_is_not_stored() -> None:
    part = bytes(32 * 1024)
    async with running({"twins": 1}) as namespace, connected(namespace) as client:
        await open_session(client)
        await client.attach_sender(0, "twins")
        await client.receive(Flow)
        client.send(Transfer(Uint(0), Uint(0), b"0", more=True), DATA + encode(bytes(1024 * 1024))[: len(part)])
        for _ in range(32):
            client.send(Transfer(Uint(0), more=True), part)
        client.send(Transfer(Uint(0)))
        assert condition((await client.receive(Detach))[0]) == "amqp:link:message-size-exceeded"
        await client.attach_sender(1, "twins")
        assert namespace.events("twins") == []


async def test_a_client_gets_new_credit_long_before_it_has_used_its_first() -> None:
    async with running({"twins": 1}) as namespace, connected(namespace) as client:
        await open_session(client)
        await client.attach_sender(0, "twins")
        credit = (await client.receive(Flow))[0].link_credit
        assert credit
        for number in range(credit // 2):
            client.send(Transfer(Uint(0), Uint(number), b"0", settled=True), DATA + encode(b""))
        state, _ = await client.receive(Flow)
        assert (state.delivery_count, state.link_credit) == (credit // 2, credit)


@pytest.mark.parametrize("transfer", [Transfer(Uint(0), Uint(0), b"0"), Transfer(Uint(1))], ids=["a source", "no id"])
async def test_a_transfer_to_a_source_or_without_an_id_ends_the_connection(transfer: Transfer) -> None:
    async with running({"twins": 1}) as namespace, connected(namespace) as client:
        await open_session(client)
        await client.attach_receiver(0, PARTITION)
        await client.attach_sender(1, "twins")
        await client.receive(Flow)
        client.send(transfer, DATA + encode(b""))
        assert condition((await client.receive(Close))[0]) == "amqp:not-allowed"


async def test_a_handle_is_free_again_once_its_link_is_detached() -> None:
    async with running({"twins": 1}) as namespace, connected(namespace) as client:
        await open_session(client)
        for _ in range(2):
            await client.attach_receiver(0, PARTITION)
            client.send(Detach(Uint(0), closed=True))
            await client.receive(Detach)
        await client.attach_receiver(0, PARTITION)
        client.send(Attach("second", Uint(0), RECEIVER))
        assert condition((await client.receive(Close))[0]) == "amqp:session:handle-in-use"


async def test_a_message_that_is_none_is_rejected_and_the_link_lives_on() -> None:
    async with running({"twins": 1}) as namespace, connected(namespace) as client:
        await open_session(client)
        await client.attach_sender(0, "twins")
        await client.receive(Flow)
        client.send(Transfer(Uint(0), Uint(0), b"0"), b"junk")
        client.send(Transfer(Uint(0), Uint(1), b"1"), DATA + encode(b"good"))
        outcomes = [(await client.receive(Disposition))[0].state for _ in range(2)]
        assert [outcome.descriptor for outcome in outcomes if outcome] == [0x25, 0x24]
        assert [event.body for event in namespace.events("twins")] == [b"good"]


@pytest.mark.parametrize(
    ("source", "selector", "expected"),
    [
        ("nowhere/ConsumerGroups/$Default/Partitions/0", "", "amqp:not-found"),
        ("twins/ConsumerGroups/$Default/Partitions/1", "", "amqp:not-found"),
        ("twins", "", "amqp:not-found"),
        (PARTITION, "amqp.annotation.x-opt-offset > 'soon'", "com.microsoft:argument-error"),
        (PARTITION, "amqp.annotation.x-opt-weather > '1'", "com.microsoft:argument-error"),
    ],
)
async def test_a_source_that_does_not_exist_is_refused(source: str, selector: str, expected: str) -> None:
    async with running({"twins": 1}) as namespace, connected(namespace) as client:
        await open_session(client)
        assert (await client.attach_receiver(0, source, selector=selector)).source is None
        assert condition((await client.receive(Detach))[0]) == expected


async def test_a_target_that_does_not_exist_is_refused() -> None:
    async with running({"twins": 1}) as namespace, connected(namespace) as client:
        await open_session(client)
        assert (await client.attach_sender(0, "twins/Partitions/1")).target is None
        assert condition((await client.receive(Detach))[0]) == "amqp:not-found"


async def test_a_reader_with_an_epoch_ends_those_before_it_and_keeps_lower_ones_out() -> None:
    async with (
        running({"twins": 1}) as namespace,
        connected(namespace) as plain,
        connected(namespace) as fifth,
        connected(namespace) as equal,
        connected(namespace) as late,
    ):
        for client in (plain, fifth, equal, late):
            await open_session(client)
        await plain.attach_receiver(0, PARTITION)
        await fifth.attach_receiver(0, PARTITION, epoch=5)
        assert condition((await plain.receive(Detach))[0]) == "amqp:link:stolen"
        await equal.attach_receiver(0, PARTITION, epoch=5)
        assert condition((await fifth.receive(Detach))[0]) == "amqp:link:stolen"
        for handle, epoch in ((0, 4), (1, None)):
            assert (await late.attach_receiver(handle, PARTITION, epoch=epoch)).source is None
            assert condition((await late.receive(Detach))[0]) == "amqp:link:stolen"
        assert (await late.attach_receiver(2, PARTITION.replace("$Default", "others"))).source is not None
        equal.send(Detach(Uint(0), closed=True))
        await equal.receive(Detach)
        assert (await late.attach_receiver(3, PARTITION)).source is not None
