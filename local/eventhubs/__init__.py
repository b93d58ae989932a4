"""A local stand-in for Azure Event Hubs, for the real SDKs. Needs neither Docker nor a network."""

from local.eventhubs.errors import AmqpError, Condition
from local.eventhubs.log import StoredEvent
from local.eventhubs.server import EventHubs, EventHubsFaults

__all__ = ["AmqpError", "Condition", "EventHubs", "EventHubsFaults", "StoredEvent"]
