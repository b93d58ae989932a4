"""A stand-in for Azure Event Hubs that the real SDKs send to and receive from, without Docker and without a network."""

from local.eventhubs.errors import AmqpError, Condition
from local.eventhubs.log import StoredEvent
from local.eventhubs.server import EventHubs, EventHubsFaults

__all__ = ["AmqpError", "Condition", "EventHubs", "EventHubsFaults", "StoredEvent"]
