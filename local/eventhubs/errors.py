"""AMQP errors and their conditions."""

from enum import StrEnum


class Condition(StrEnum):
    """The error conditions in use: from AMQP 1.0, part 2, section 2.8.15 on, and those of Event Hubs."""

    DECODE_ERROR = "amqp:decode-error"
    NOT_ALLOWED = "amqp:not-allowed"
    NOT_FOUND = "amqp:not-found"
    FRAMING_ERROR = "amqp:connection:framing-error"
    HANDLE_IN_USE = "amqp:session:handle-in-use"
    UNATTACHED_HANDLE = "amqp:session:unattached-handle"
    LINK_STOLEN = "amqp:link:stolen"
    MESSAGE_SIZE_EXCEEDED = "amqp:link:message-size-exceeded"
    ARGUMENT_ERROR = "com.microsoft:argument-error"
    SERVER_BUSY = "com.microsoft:server-busy"


class AmqpError(Exception):
    """An error that is sent to the peer.

    It ends a delivery, a link or a connection, depending on where it is caught.

    Attributes:
        condition: What kind of error it is.
        description: One sentence for the peer's log.
    """

    def __init__(self, condition: Condition, description: str) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description
