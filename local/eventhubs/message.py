"""AMQP messages: their sections (part 3 of the specification) and the batches of Event Hubs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.eventhubs.codec import Reader, Symbol, Ulong, encode, encode_map
from local.eventhubs.errors import AmqpError, Condition

BATCH_FORMAT = 0x80013700
"""The message format of a batch: each data section holds one encoded message."""

_HEADER, _DELIVERY_ANNOTATIONS, _MESSAGE_ANNOTATIONS = 0x70, 0x71, 0x72
_PROPERTIES, _APPLICATION_PROPERTIES, _DATA, _VALUE, _FOOTER = 0x73, 0x74, 0x75, 0x77, 0x78
_PROPERTY_NAMES = (
    *("message-id", "user-id", "to", "subject", "reply-to", "correlation-id", "content-type", "content-encoding"),
    *("absolute-expiry-time", "creation-time", "group-id", "group-sequence", "reply-to-group-id"),
)
_CORRELATION_ID = _PROPERTY_NAMES.index("correlation-id")


@dataclass(frozen=True, slots=True)
class Message:
    """A message as its sender encoded it. Parts that Event Hubs does not read stay encoded.

    Attributes:
        bare: Properties, application properties, body and footer, encoded.
        header: The header section, or empty.
        annotations: The message annotations by name, each value still encoded.
    """

    bare: bytes
    header: bytes = b""
    annotations: Mapping[str, bytes] = field(default_factory=dict)

    def encode(self, annotations: Mapping[str, object]) -> bytes:
        """Encode the message with these annotations, which replace existing ones of the same name."""
        added = {name: encode(value) for name, value in annotations.items()}
        items = ((Symbol(name), value) for name, value in {**self.annotations, **added}.items())
        return self.header + _described(_MESSAGE_ANNOTATIONS, encode_map(items)) + self.bare

    def annotation(self, name: str) -> Any:
        """Decode an annotation; None if there is none of this name."""
        encoded = self.annotations.get(name)
        return None if encoded is None else Reader(encoded).value()

    def properties(self) -> dict[str, Any]:
        """Decode the properties that are set, by their names in Event Hubs."""
        sections = _sections(self.bare)
        values: list[Any] = next((section.value() for code, section in sections if code == _PROPERTIES), [])
        return {name: value for name, value in zip(_PROPERTY_NAMES, values, strict=False) if value is not None}

    def application_properties(self) -> dict[str, Any]:
        """Decode the properties that the sending application set."""
        sections = _sections(self.bare)
        return next((dict(section.value()) for code, section in sections if code == _APPLICATION_PROPERTIES), {})

    def data(self) -> list[bytes]:
        """Decode the data sections of the body. Empty if the body is a value or a sequence."""
        return [section.value() for code, section in _sections(self.bare) if code == _DATA]


def read_message(payload: bytes) -> Message:
    """Read an encoded message.

    Raises:
        AmqpError: The payload does not consist of the sections of a message.
    """
    bare: list[bytes] = []
    header = b""
    annotations: dict[str, bytes] = {}
    for code, section in _sections(payload):
        if code == _HEADER:
            header = _described(_HEADER, section.rest())
        elif code == _MESSAGE_ANNOTATIONS:
            annotations = {str(name): value for name, value in section.items()}
        elif code != _DELIVERY_ANNOTATIONS:  # these are for the next hop alone
            bare.append(_described(code, section.rest()))
    return Message(b"".join(bare), header, annotations)


def read_messages(message_format: int, payload: bytes) -> list[Message]:
    """Read one delivery: a single message, or the messages of a batch, which share its annotations.

    Raises:
        AmqpError: The payload does not match the format.
    """
    message = read_message(payload)
    if message_format != BATCH_FORMAT:
        return [message]
    inner = [read_message(data) for data in message.data()]
    return [Message(each.bare, each.header, {**message.annotations, **each.annotations}) for each in inner]


def build_message(body: bytes, properties: Mapping[str, object], annotations: Mapping[str, object]) -> Message:
    """Build a message with application properties and a body of bytes."""
    bare = b""
    if properties:
        bare += _described(_APPLICATION_PROPERTIES, encode(dict(properties)))
    bare += _described(_DATA, encode(body))
    return Message(bare, annotations={name: encode(value) for name, value in annotations.items()})


def encode_response(correlation_id: object, properties: Mapping[str, object], value: object) -> bytes:
    """Encode the answer to a message: application properties and a body of one value."""
    listed = [correlation_id if index == _CORRELATION_ID else None for index in range(len(_PROPERTY_NAMES))]
    return (
        _described(_PROPERTIES, encode(listed))
        + _described(_APPLICATION_PROPERTIES, encode(dict(properties)))
        + _described(_VALUE, encode(value))
    )


def _described(code: int, encoded: bytes) -> bytes:
    return b"\0" + encode(Ulong(code)) + encoded


def _sections(payload: bytes) -> Iterator[tuple[int, Reader]]:
    """Yield the sections of a message: the code of each, and a reader of its value."""
    reader = Reader(payload)
    while reader:
        start = reader.at
        section = Reader(reader.skip())
        descriptor = section.descriptor()
        if not isinstance(descriptor, int) or not _HEADER <= descriptor <= _FOOTER:
            raise AmqpError(Condition.DECODE_ERROR, f"No section of a message starts at byte {start}.")
        yield descriptor, section
