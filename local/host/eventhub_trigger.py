"""The Event Hubs trigger: reads an event hub and passes its events to a function, batch by batch."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import suppress

from azure.core.credentials_async import AsyncTokenCredential
from azure.eventhub import CloseReason, EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext

from local.host.checkpoints import Checkpoints
from local.host.event_batch import event_bodies, sequence_number, trigger_metadata
from local.host.host_json import HostJson
from local.host.invocation import Function, HostStoppedError, Invoker
from local.host.worker import AppLoadError

logger = logging.getLogger("local.host")

_FROM_START = "-1"
_REOPEN_AFTER_SECONDS = 1.0
_OPENING_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 0.01


class EventHubTrigger:
    """Feed one function from all partitions of an event hub.

    Batches of a partition run one after the other, partitions in parallel. A checkpoint advances when an invocation has
    ended, including its retries, whether it succeeded or not. The real host does the same.
    """

    def __init__(
        self, function: Function, client: EventHubConsumerClient, *, checkpoints: Checkpoints, invoker: Invoker
    ) -> None:
        self._function = function
        self._client = client
        self._checkpoints = checkpoints
        self._invoker = invoker
        self._hub: str = client.eventhub_name
        self._group: str = function.trigger.get("consumerGroup") or "$Default"
        self._partitions: dict[str, _Receiver] = {}

    async def start(self, limits: HostJson) -> None:
        """Start to read every partition after its checkpoint.

        Raises:
            azure.eventhub.exceptions.EventHubError: The event hub cannot be reached.
        """
        for partition in await self._client.get_partition_ids():
            checkpoint = self._checkpoints.get(self._group, self._hub, partition)
            receiver = self._partitions[partition] = _Receiver()
            receiver.start(
                self._client.receive_batch(
                    self._deliver,
                    partition_id=partition,
                    starting_position=_FROM_START if checkpoint is None else checkpoint,
                    max_batch_size=limits.max_event_batch_size,
                    prefetch=limits.prefetch_count,
                    on_error=self._report,
                    on_partition_initialize=receiver.on_partition_initialize,
                    on_partition_close=receiver.on_partition_close,
                )
            )

    async def stop(self) -> None:
        """Stop reading and close the client. The invoker was stopped before, so nothing is being delivered."""
        await asyncio.gather(*(self._stop(partition, receiver) for partition, receiver in self._partitions.items()))
        await self._client.close()

    async def _stop(self, partition: str, receiver: "_Receiver") -> None:
        # The SDK never closes the connection of a partition that is cancelled before its session started.
        with suppress(TimeoutError):
            async with asyncio.timeout(_OPENING_SECONDS):
                while receiver.is_open and not self._has_session(partition):  # noqa: ASYNC110 (nothing signals it)
                    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        await receiver.stop()

    def _has_session(self, partition: str) -> bool:
        """Whether the SDK will close the partition's connection. Only private attributes show it."""
        processor = self._client._event_processors.get((self._group, partition))  # noqa: SLF001
        consumer = processor._consumers.get(partition) if processor else None  # noqa: SLF001
        handler = consumer._handler if consumer else None  # noqa: SLF001
        return handler is not None and handler._session is not None  # noqa: SLF001

    async def drained(self) -> None:
        """Wait until every event that the partitions hold now has been checkpointed."""
        newest = await asyncio.gather(*map(self._client.get_partition_properties, self._partitions))
        for partition in newest:
            if not partition["is_empty"]:
                await self._checkpoints.reached(
                    self._group, self._hub, partition["id"], partition["last_enqueued_sequence_number"]
                )

    async def _deliver(self, context: PartitionContext, batch: Sequence[EventData]) -> None:
        partition = context.partition_id
        checkpoint = self._checkpoints.get(self._group, self._hub, partition)
        # The SDK reopens a failed partition where it started to read: skip what has been processed since.
        events = [event for event in batch if checkpoint is None or sequence_number(event) > checkpoint]
        if not events:
            return
        metadata = trigger_metadata(
            events,
            {
                "FullyQualifiedNamespace": context.fully_qualified_namespace,
                "EventHubName": self._hub,
                "ConsumerGroup": self._group,
                "PartitionId": partition,
                "IsCheckpointingAfterInvocation": True,
            },
        )
        try:
            await self._invoker.run(self._function, event_bodies(events), metadata)
        except HostStoppedError:
            return  # not processed: the next host reads the batch again
        await self._checkpoints.advance(self._group, self._hub, partition, sequence_number(events[-1]))

    async def _report(self, context: PartitionContext | None, error: Exception) -> None:
        partition = context.partition_id if context else "all"
        logger.error("event hub %s, partition %s: %s", self._hub, partition, error, exc_info=error)


class _Receiver:
    """The task that reads one partition."""

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether the partition is being read, or will be soon."""
        return not (self._task.done() or self._closed.is_set())

    def start(self, receiving: Coroutine[None, None, None]) -> None:
        self._task = asyncio.create_task(receiving)

    async def on_partition_initialize(self, _context: PartitionContext) -> None:
        self._closed.clear()

    async def on_partition_close(self, _context: PartitionContext, _reason: CloseReason) -> None:
        self._closed.set()

    async def stop(self) -> None:
        self._task.cancel()
        closed = asyncio.create_task(self._closed.wait())
        await asyncio.wait({self._task, closed}, return_when=asyncio.FIRST_COMPLETED)
        closed.cancel()
        # The SDK checks once a second whether a partition was closed. It was, so skip that wait.
        self._task.cancel()
        await asyncio.wait({self._task})


def event_hub_client(
    function: Function, connection: tuple[str | None, str], credential: AsyncTokenCredential | None
) -> EventHubConsumerClient:
    """Create the client of an event hub trigger.

    Args:
        function: A function with an event hub trigger.
        connection: (connection string, "") or (None, fully qualified namespace).
        credential: Used if there is no connection string.

    Raises:
        AppLoadError: The trigger has a cardinality or data type that this host does not support, or an identity
            connection has no credential.
    """
    trigger = function.trigger
    shape = (str(trigger.get("cardinality")).upper(), str(trigger.get("dataType")).upper())
    if shape != ("MANY", "BINARY"):
        raise AppLoadError(f"function {function.name}: cardinality and dataType are {shape}, not MANY and BINARY")
    connection_string, namespace = connection
    group = trigger.get("consumerGroup") or "$Default"
    if connection_string is not None:
        return EventHubConsumerClient.from_connection_string(
            connection_string,
            group,
            eventhub_name=trigger["eventHubName"],
            load_balancing_interval=_REOPEN_AFTER_SECONDS,
        )
    if credential is None:
        raise AppLoadError(f"function {function.name}: {namespace} needs a credential, but the host has none")
    return EventHubConsumerClient(
        namespace,
        trigger["eventHubName"],
        group,
        credential,
        load_balancing_interval=_REOPEN_AFTER_SECONDS,
        use_tls=not namespace.startswith(("localhost:", "127.0.0.1:")),  # stand-ins speak plain TCP
    )
