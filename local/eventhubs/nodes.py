"""The nodes that an address can name: an event hub, a partition, or a node that answers requests."""

import re
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from urllib.parse import urlsplit

from local.eventhubs.codec import Described
from local.eventhubs.errors import AmqpError, Condition
from local.eventhubs.frames import Attach
from local.eventhubs.links import OutgoingLink, Source, Target
from local.eventhubs.log import Hub, PartitionLog
from local.eventhubs.management import answer_cbs, answer_management
from local.eventhubs.message import Message, read_message, read_messages

_TARGET = re.compile(r"([^/]+)(?:/Partitions/([^/]+))?")
_SOURCE = re.compile(r"([^/]+)/ConsumerGroups/([^/]+)/Partitions/([^/]+)")
_SELECTOR = "apache.org:selector-filter:string"
_EPOCH = "com.microsoft:epoch"
_FILTER_FIELD = 7  # of a source


class Readers:
    """The links that read one partition for one consumer group, and the rule for who can.

    A reader with an epoch (the SDK's owner level) reads alone: it ends all readers except those with a higher epoch.
    As long as it reads, readers with a lower epoch or none are refused.
    """

    def __init__(self) -> None:
        self._epochs: dict[OutgoingLink, int | None] = {}

    def admit(self, link: OutgoingLink, epoch: int | None) -> None:
        """Let a link in.

        Raises:
            AmqpError: Another link has a higher epoch.
        """
        owner = next((other for other in self._epochs.values() if other is not None), None)
        if owner is not None and (epoch is None or epoch < owner):
            raise AmqpError(Condition.LINK_STOLEN, f"A receiver with epoch {owner} exists.")
        if epoch is not None:
            for other in tuple(self._epochs):
                other.stolen(f"A receiver with epoch {epoch} was created.")
        self._epochs[link] = epoch

    def remove(self, link: OutgoingLink) -> None:
        """Remove a link. One that was never admitted is ignored."""
        self._epochs.pop(link, None)


class Broker:
    """The state that all connections share.

    Attributes:
        hubs: The event hubs by name.
        refusals: How many more sends to refuse, by hub.
        groups: The consumer groups that exist. None allows any.
        locked: Whether to refuse every token.
        readers: The readers by hub, consumer group and partition.
    """

    def __init__(self, hubs: dict[str, Hub]) -> None:
        self.hubs = hubs
        self.groups: Collection[str] | None = None
        self.locked = False
        self.refusals: dict[str, int] = defaultdict(int)
        self.readers: dict[tuple[str, str, str], Readers] = defaultdict(Readers)

    def hub(self, name: str) -> Hub:
        """Return the event hub of this name.

        Raises:
            AmqpError: There is none.
        """
        if name not in self.hubs:
            raise AmqpError(Condition.NOT_FOUND, f"The messaging entity {name!r} could not be found.")
        return self.hubs[name]


class Nodes:
    """The nodes of one session: it gets the answers to its own requests."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._requests: Mapping[str, Callable[[Message], bytes]] = {
            "$cbs": lambda request: answer_cbs(request, locked=broker.locked),
            "$management": lambda request: answer_management(broker.hubs, request),
        }
        self._answers: dict[str, _Answers] = defaultdict(_Answers)

    def target(self, address: str) -> Target:
        """Return the node that a client wants to send to.

        Raises:
            AmqpError: There is no such node.
        """
        path = _path(address)
        if path in self._requests:
            return _Requests(self._requests[path], self._answers[path])
        match = _TARGET.fullmatch(path)
        if match is None:
            raise AmqpError(Condition.NOT_FOUND, f"Nothing can be sent to {address!r}.")
        hub, partition_id = self._broker.hub(match[1]), match[2]
        if partition_id is not None:
            hub.partition(partition_id)
        return _HubTarget(self._broker, hub, partition_id)

    def source(self, address: str, attach: Attach) -> Source:
        """Return the node that a client wants to receive from.

        Raises:
            AmqpError: There is no such node, or the filter is not supported.
        """
        path = _path(address)
        if path in self._requests:
            return self._answers[path]
        match = _SOURCE.fullmatch(path)
        if match is None:
            raise AmqpError(Condition.NOT_FOUND, f"Nothing can be received from {address!r}.")
        hub, group, partition_id = match[1], match[2], match[3]
        log = self._broker.hub(hub).partition(partition_id)
        if self._broker.groups is not None and group not in self._broker.groups:
            raise AmqpError(Condition.NOT_FOUND, f"The consumer group {group!r} could not be found.")
        epoch = (attach.properties or {}).get(_EPOCH)
        return _PartitionSource(
            log, log.start(_selector(attach)), self._broker.readers[hub, group, partition_id], epoch
        )


class _HubTarget:
    """An event hub, or one of its partitions."""

    def __init__(self, broker: Broker, hub: Hub, partition_id: str | None) -> None:
        self._broker = broker
        self._hub = hub
        self._partition_id = partition_id

    def receive(self, message_format: int, payload: bytes) -> None:
        if self._broker.refusals[self._hub.name] > 0:
            self._broker.refusals[self._hub.name] -= 1
            raise AmqpError(Condition.SERVER_BUSY, "The server is busy. Please retry the operation.")
        self._hub.store(read_messages(message_format, payload), self._partition_id)


class _PartitionSource:
    """A partition, from one of its events on, for one reader."""

    def __init__(self, log: PartitionLog, start: int, readers: Readers, epoch: int | None) -> None:
        self._log = log
        self._index = start
        self._readers = readers
        self._epoch = epoch

    def open(self, link: OutgoingLink) -> None:
        self._readers.admit(link, self._epoch)
        self._log.on_append.add(link.pump)

    def next(self) -> bytes | None:
        if self._index == len(self._log.entries):
            return None
        entry = self._log.entries[self._index]
        self._index += 1
        return entry.encode()

    def close(self, link: OutgoingLink) -> None:
        self._log.on_append.discard(link.pump)
        self._readers.remove(link)


class _Answers:
    """The answers of a request node, until their link fetches them."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._link: OutgoingLink | None = None

    def put(self, answer: bytes) -> None:
        self._waiting.append(answer)
        if self._link:
            self._link.pump()

    def open(self, link: OutgoingLink) -> None:
        self._link = link

    def next(self) -> bytes | None:
        return self._waiting.popleft() if self._waiting else None

    def close(self, link: OutgoingLink) -> None:
        if self._link is link:
            self._link = None


class _Requests:
    """A node that answers each message with another message."""

    def __init__(self, answer: Callable[[Message], bytes], answers: _Answers) -> None:
        self._answer = answer
        self._answers = answers

    def receive(self, message_format: int, payload: bytes) -> None:  # noqa: ARG002 - a request is never a batch
        self._answers.put(self._answer(read_message(payload)))


def _path(address: str) -> str:
    """Return the address without the scheme and host that some SDKs prepend."""
    return (urlsplit(address).path if "://" in address else address).strip("/")


def _selector(attach: Attach) -> str | None:
    """Return the selector of a source's filters."""
    fields = attach.source.value if attach.source else []
    filters = fields[_FILTER_FIELD] if len(fields) > _FILTER_FIELD else None
    selector = filters.get(_SELECTOR) if isinstance(filters, dict) else None
    if isinstance(selector, Described):
        selector = selector.value
    if selector is not None and not isinstance(selector, str):
        raise AmqpError(Condition.ARGUMENT_ERROR, "The selector is not a string.")
    return selector
