"""A bare AMQP client that sends any frame, also those that no SDK would send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from namespaces import PATIENCE

from local.eventhubs import EventHubs
from local.eventhubs.codec import Described, Symbol, Ubyte, Uint, Ulong, Ushort
from local.eventhubs.frames import (
    AMQP_FRAME,
    AMQP_HEADER,
    FRAME_HEADER_SIZE,
    RECEIVER,
    SENDER,
    Attach,
    Begin,
    Flow,
    Open,
    Performative,
    frame,
    read_performative,
)

WINDOW = Uint(2048)


class AmqpClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, performative: Performative, payload: bytes = b"") -> None:
        self.writer.write(frame(AMQP_FRAME, 0, performative, payload))

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(size)

    async def read_frame(self) -> bytes:
        """The body of the next frame: nothing where it is a heartbeat."""
        header = await self.read(FRAME_HEADER_SIZE)
        return await self.read(int.from_bytes(header[:4]) - FRAME_HEADER_SIZE)

    async def receive[P: Performative](self, expected: type[P]) -> tuple[P, bytes]:
        performative, payload = read_performative(await self.read_frame())
        assert isinstance(performative, expected), performative
        return performative, payload

    async def ended(self) -> bool:
        """Whether the server closes the connection without another byte."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read() == b""

    async def open(self, *, idle_time_out: int | None = None, window: int = WINDOW, max_frame_size: int = 4096) -> None:
        """Open the connection and begin one session."""
        self.writer.write(AMQP_HEADER)
        idle = None if idle_time_out is None else Uint(idle_time_out)
        self.send(Open("test", max_frame_size=Uint(max_frame_size), channel_max=Ushort(1), idle_time_out=idle))
        self.send(Begin(None, Uint(0), Uint(window), WINDOW))
        assert await self.read(len(AMQP_HEADER)) == AMQP_HEADER
        await self.receive(Open)

    async def attach_receiver(
        self, handle: int, source: str, *, selector: str = "", epoch: int | None = None
    ) -> Attach:
        name = Symbol("apache.org:selector-filter:string")
        filters = {name: Described(name, selector)} if selector else None
        self.send(
            Attach(
                f"receiver-{handle}",
                Uint(handle),
                RECEIVER,
                source=Described(Ulong(0x28), [source, None, None, None, None, None, None, filters]),
                target=Described(Ulong(0x29), ["test"]),
                properties=None if epoch is None else {Symbol("com.microsoft:epoch"): epoch},
            )
        )
        return (await self.receive(Attach))[0]

    async def attach_sender(self, handle: int, target: str) -> Attach:
        self.send(
            Attach(
                f"sender-{handle}",
                Uint(handle),
                SENDER,
                snd_settle_mode=Ubyte(0),
                source=Described(Ulong(0x28), ["test"]),
                target=Described(Ulong(0x29), [target]),
                initial_delivery_count=Uint(0),
            )
        )
        return (await self.receive(Attach))[0]

    def give_credit(self, handle: int, credit: int, *, received: int = 0, frames: int = 0, **more: Any) -> None:
        """Allow messages; `received` of them and `frames` frames have come so far."""
        window = more.pop("window", WINDOW)
        state = {"delivery_count": Uint(received), "link_credit": Uint(credit), **more}
        self.send(Flow(Uint(frames), Uint(window), Uint(0), WINDOW, handle=Uint(handle), **state))


@asynccontextmanager
async def connected(namespace: EventHubs) -> AsyncIterator[AmqpClient]:
    reader, writer = await asyncio.open_connection("127.0.0.1", namespace.port)
    try:
        yield AmqpClient(reader, writer)
    finally:
        writer.close()
        await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])
