"""An event that an IoT Hub route sends to an event hub."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RoutedEvent:
    """One event on its way from the IoT Hub stand-in to the Event Hubs stand-in.

    Attributes:
        body: The message body as IoT Hub would send it, or any bytes.
        partition_key: Decides the partition; IoT Hub uses the device id.
        properties: Application properties (`opType`, `deviceId`, `iothub-message-schema`, ...).
        system_properties: Message annotations (`iothub-connection-device-id`, ...).
    """

    body: bytes
    partition_key: str
    properties: Mapping[str, str] = field(default_factory=dict)
    system_properties: Mapping[str, str | int] = field(default_factory=dict)
