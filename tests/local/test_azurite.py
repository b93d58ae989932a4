"""Azurite starts whatever else runs on the machine, or its failure says why."""

import socket
from collections.abc import Iterator
from itertools import chain, repeat

import pytest
from azure.data.tables import TableServiceClient

from local import azurite


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_another_port_is_tried_if_one_is_taken(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    free = azurite._free_ports()  # noqa: SLF001 (a port is taken in the moment after it was found free)
    monkeypatch.setattr(azurite, "_free_ports", lambda: chain([taken], free))
    with azurite.azurite_tables() as tables, TableServiceClient.from_connection_string(tables) as service:
        assert list(service.list_tables()) == []


def test_a_port_that_is_always_taken_is_named(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    monkeypatch.setattr(azurite, "_free_ports", lambda: repeat(taken))
    monkeypatch.setattr(azurite, "_PORTS", 2)
    named = rf"(?s)did not start.*EADDRINUSE.*{taken}"
    with pytest.raises(azurite.AzuriteError, match=named), azurite.azurite_tables():
        pass
