"""The calls that the app makes of its SDKs, kept in their order, and made again without the app."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final
from unittest.mock import patch

from azure.data.tables.aio import TableClient
from azure.eventhub import EventData, EventDataBatch
from azure.eventhub.aio import EventHubProducerClient

from local.stack import TRANSITIONS
from status_app.iothub import queries, twins
from status_app.iothub.budget import Share
from status_app.iothub.hub_requests import READERS
from status_app.iothub.registry import registry_manager
from status_app.iothub.twins import TwinReader
from status_app.storage import transaction
from status_app.storage.client import table_service
from status_core import EDGE_AGENT

WRITES: Final = ("create_entity", "upsert_entity", "update_entity", "delete_entity")
_CONDITIONS: Final = frozenset({"etag", "match_condition"})
"""An ETag is of one table and one time."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        service: `tables`, `twins` or `transitions`.
        table: The table's name; of an event hub, the partition key.
        method: What is called of a table; `submit` is a transaction.
        arguments: Its arguments; of a twin read, the device; of an event hub, the bodies.
    """

    service: str
    table: str
    method: str
    arguments: Sequence[Any]
    keywords: Mapping[str, Any] = field(default_factory=dict)

    @property
    def entities(self) -> int:
        """Entities that it writes."""
        if self.method == "submit":
            return len(self.arguments[0])
        return int(self.method in WRITES)


@dataclass(slots=True)
class Recording:
    """Calls as they went side by side.

    Attributes:
        calls: In the order in which they began.
        moments: The number of a call at its beginning, and again at its end.
    """

    calls: list[Call] = field(default_factory=list)
    moments: list[int] = field(default_factory=list)

    @contextmanager
    def call(self, call: Call) -> Iterator[None]:
        """Keep a call; the block is its length."""
        number = len(self.calls)
        self.calls.append(call)
        self.moments.append(number)
        try:
            yield
        finally:
            self.moments.append(number)

    def take(self) -> "Recording":
        """What was kept since the last time. No call is under way."""
        taken = Recording(self.calls.copy(), self.moments.copy())
        self.calls.clear()
        self.moments.clear()
        return taken


@contextmanager
def recording() -> Iterator[Recording]:
    """Keep the calls of an app that runs in this process."""
    kept = Recording()
    query, read, send = TableClient.query_entities, TwinReader.read, EventHubProducerClient.send_batch
    several = TwinReader.several

    async def kept_query(client: TableClient, *arguments: Any, **keywords: Any) -> AsyncIterator[Any]:
        rows = aiter(query(client, *arguments, **keywords))
        with kept.call(Call("tables", client.table_name, "query_entities", arguments, keywords)):
            first = await anext(rows, None)  # the answer holds them all, or the first thousand
        if first is not None:
            yield first
            async for row in rows:
                yield row

    async def kept_read(reader: TwinReader, device_id: str, share: Share | None = None) -> Mapping[str, Any] | None:
        with kept.call(Call("twins", "", "read", [device_id])):
            return await read(reader, device_id, share)

    async def kept_several(
        reader: TwinReader, device_ids: Sequence[str], share: Share | None = None
    ) -> Sequence[Mapping[str, Any]] | None:
        with kept.call(Call("twins", "", "several", list(device_ids))):
            return await several(reader, device_ids, share)

    async def kept_send(client: EventHubProducerClient, batch: EventDataBatch) -> None:
        events, key = batch._internal_events, batch._partition_key  # noqa: SLF001 (nothing public gives them)
        bodies = [event.body_as_str() for event in events if isinstance(event, EventData)]
        with kept.call(Call("transitions", str(key), "send_batch", bodies)):
            await send(client, batch)

    with (
        patch.object(transaction, "submit", _kept(kept, transaction.submit)),
        patch.object(TableClient, "query_entities", kept_query),
        patch.object(TwinReader, "read", kept_read),
        patch.object(TwinReader, "several", kept_several),
        patch.object(EventHubProducerClient, "send_batch", kept_send),
        patch.multiple(TableClient, **{name: _kept(kept, getattr(TableClient, name)) for name in WRITES}),
    ):
        yield kept


def _kept(kept: Recording, method: Callable[..., Awaitable[Any]]) -> Any:
    name = method.__name__

    @wraps(method)
    async def call(client: TableClient, *arguments: Any, **keywords: Any) -> Any:
        with kept.call(Call("tables", client.table_name, name, arguments, keywords)):
            return await method(client, *arguments, **keywords)

    return call


class Replay:
    """Makes calls again: with the SDKs set up as the app has them, and nothing between."""

    def __init__(self, tables: Mapping[str, TableClient], producer: EventHubProducerClient, manager: Any) -> None:
        self._tables = tables
        self._producer = producer
        self._protocol = manager.protocol
        self._threads = ThreadPoolExecutor(READERS)
        self._lock = asyncio.Lock()  # one producer sends one batch at a time

    async def run(self, recorded: Recording) -> None:
        """Begin each call when it began, behind those that had ended by then."""
        tasks: dict[int, asyncio.Task[None]] = {}
        for number in recorded.moments:
            if number in tasks:
                await tasks[number]
            else:
                tasks[number] = asyncio.create_task(self._make(recorded.calls[number]))

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    async def _make(self, call: Call) -> None:
        if call.method == "several":
            await asyncio.get_running_loop().run_in_executor(self._threads, self._query, call.arguments)
        elif call.service == "twins":
            await asyncio.get_running_loop().run_in_executor(self._threads, self._read, *call.arguments)
        elif call.service == "transitions":
            await self._send(call)
        elif call.method == "query_entities":
            rows = self._tables[call.table].query_entities(*call.arguments, **call.keywords)
            _ = [row async for row in rows]
        elif call.method == "submit":
            await transaction.submit(self._tables[call.table], *_free(call.arguments))
        else:
            await getattr(self._tables[call.table], call.method)(*_free(call.arguments), **_unguarded(call.keywords))

    def _read(self, device_id: str) -> Any:
        return json.loads(self._protocol.modules.get_twin(device_id, EDGE_AGENT, raw=True).response.content)

    def _query(self, device_ids: Sequence[str]) -> Any:
        specification = {"query": queries.of_devices(device_ids)}
        answer = self._protocol.query.get_twins(specification, None, str(queries.PAGE_SIZE), raw=True)
        return json.loads(answer.response.content)

    async def _send(self, call: Call) -> None:
        async with self._lock:
            batch = await self._producer.create_batch(partition_key=call.table)
            for body in call.arguments:
                batch.add(EventData(body))
            await self._producer.send_batch(batch)


@asynccontextmanager
async def replaying(tables: str, event_hubs: str, iot_hub: str, names: Sequence[str]) -> AsyncIterator[Replay]:
    """SDK clients, set up as the app has them, and tables of these names."""
    async with AsyncExitStack() as running:
        service = await running.enter_async_context(table_service(tables))
        clients = {name: await service.create_table_if_not_exists(name) for name in names}
        producer = await running.enter_async_context(
            EventHubProducerClient.from_connection_string(event_hubs, eventhub_name=TRANSITIONS)
        )
        manager = registry_manager(iot_hub, twins.TIMEOUT)
        replay = Replay(clients, producer, manager)
        running.callback(replay.close)
        yield replay


def _free(arguments: Sequence[Any]) -> list[Any]:
    """The arguments without what guards a transaction: the ETags of another table."""
    return [
        [(*operation[:2], *map(_unguarded, operation[2:])) for operation in argument]
        if isinstance(argument, list)
        else argument
        for argument in arguments
    ]


def _unguarded(keywords: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in keywords.items() if key not in _CONDITIONS}
