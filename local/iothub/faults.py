"""What can be made to fail of an IoT Hub."""

from typing import Literal

from local.faults import Fault, Faults

type Operation = Literal["read", "query"]

__all__ = ["Fault", "Faults", "Operation"]
