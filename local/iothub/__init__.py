"""A local IoT Hub: a twin registry, the route events of its changes, and the service API over HTTPS."""

from local.faults import Faults
from local.iothub.hub import IotHub
from local.iothub.registry import Change, Operation, Registry, Twin
from local.iothub.routes import routed_event

__all__ = ["Change", "Faults", "IotHub", "Operation", "Registry", "Twin", "routed_event"]
