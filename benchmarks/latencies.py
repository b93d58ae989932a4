"""Calls of the SDKs that take as long as in Azure, by assumption: those of the app, and those of the naive function."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final
from unittest.mock import patch

from azure.data.tables import TableClient as BlockingTableClient
from azure.data.tables.aio import TableClient
from azure.eventhub.aio import EventHubProducerClient
from azure.iot.hub import IoTHubRegistryManager

from benchmarks.sdk_calls import WRITES
from benchmarks.simulation import Latencies
from status_app.iothub.twins import TwinReader
from status_app.storage import transaction

_CALLS: Final = Latencies()


@contextmanager
def latencies() -> Iterator[None]:
    """Let each call wait before it is made."""
    query = TableClient.query_entities
    writes: dict[str, Any] = {name: _late(getattr(TableClient, name), _CALLS.tables) for name in WRITES}

    async def late_query(client: TableClient, *arguments: Any, **keywords: Any) -> AsyncIterator[Any]:
        await asyncio.sleep(_CALLS.tables)
        async for row in query(client, *arguments, **keywords):
            yield row

    with (
        patch.object(transaction, "submit", _late(transaction.submit, _CALLS.tables)),
        patch.object(TableClient, "query_entities", late_query),
        patch.multiple(TableClient, **writes),
        patch.object(TwinReader, "read", _late(TwinReader.read, _CALLS.read)),
        patch.object(TwinReader, "several", _late(TwinReader.several, _CALLS.query)),
        patch.object(EventHubProducerClient, "send_batch", _late(EventHubProducerClient.send_batch, _CALLS.events)),
        patch.object(BlockingTableClient, "upsert_entity", _blocking(BlockingTableClient.upsert_entity, _CALLS.tables)),
        patch.object(
            IoTHubRegistryManager,
            "get_module_twin",
            _blocking(IoTHubRegistryManager.get_module_twin, _CALLS.read),
        ),
    ):
        yield


def _late(method: Callable[..., Awaitable[Any]], seconds: float) -> Callable[..., Awaitable[Any]]:
    @wraps(method)
    async def call(*arguments: Any, **keywords: Any) -> Any:
        await asyncio.sleep(seconds)
        return await method(*arguments, **keywords)

    return call


def _blocking(method: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    @wraps(method)
    def call(*arguments: Any, **keywords: Any) -> Any:
        time.sleep(seconds)
        return method(*arguments, **keywords)

    return call
