"""A server that stops while clients connect closes every connection."""

import asyncio
import gc
import socket

import pytest
from aiohttp import web

from local.eventhubs import EventHubs
from local.listener import Listener


async def connecting(port: int, turns: int) -> list[socket.socket]:
    """Clients that connect at once, some turns of the loop ago."""
    clients = [socket.socket() for _ in range(9)]
    for client in clients:
        client.connect(("127.0.0.1", port))
    for _ in range(turns):
        await asyncio.sleep(0)
    return clients


def all_are_closed(clients: list[socket.socket]) -> bool:
    """Whether the other end closed each connection, maybe after what it had sent."""
    for client in clients:
        client.settimeout(10)
        try:
            while client.recv(1000):
                pass
        except ConnectionError:
            pass
        client.close()
    return True


@pytest.mark.parametrize("turns", range(6))
async def test_an_http_server_leaves_no_connection_open(turns: int) -> None:
    listener = Listener(web.AppRunner(web.Application(), access_log=None))
    await listener.start()
    clients = await connecting(listener.port, turns)
    await listener.stop()
    await asyncio.sleep(0)
    assert await asyncio.to_thread(all_are_closed, clients)
    gc.collect()  # a connection that is left open is reported as an error


@pytest.mark.parametrize("turns", range(6))
async def test_event_hubs_leave_no_connection_open(turns: int) -> None:
    hubs = EventHubs({"one": 1})
    await hubs.start()
    clients = await connecting(int(hubs.connection_string().split(";")[0].rpartition(":")[2].strip("/")), turns)
    await hubs.stop()
    await asyncio.sleep(0)
    assert await asyncio.to_thread(all_are_closed, clients)
    gc.collect()
