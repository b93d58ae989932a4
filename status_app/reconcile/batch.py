"""A batch on its way through the phases: what each device has come to, and a step that is taken with each of them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from status_app.fleet_index.rows import Summary
from status_app.reconcile.tasks import Announced, Outcome, Task
from status_app.retry import Deadline
from status_app.status_table.commit import Change
from status_app.status_table.stored_device import StoredDevice
from status_app.storage.columns import Row
from status_app.telemetry.logs import about
from status_core import DeploymentStatus

AT_ONCE: Final = 100
"""Devices of a batch that are asked for side by side."""


@dataclass(slots=True)
class Device:
    """A device on its way through the phases.

    Attributes:
        published: The sequence up to which its transitions are published.
        pending: Announcements that end with its projection.
        history: Rows of the transitions that were committed last.
        status: What its twin says; None where the hub has none, or it was not read.
        is_silent: The hub did not answer.
        holds_until: Until when that is known to hold; None where it was read just now.
        cohorts: The cohorts that it is in; None: those in which it was.
        is_moving: The index has something else to say of it, or has to be made sure of.
    """

    task: Task
    stored: StoredDevice
    summary: Summary | None = None
    published: int = 0
    pending: set[str] = field(default_factory=set)
    history: list[Row] = field(default_factory=list)
    status: DeploymentStatus | None = None
    is_silent: bool = False
    holds_until: datetime | None = None
    cohorts: Sequence[str] | None = None
    is_moving: bool = False
    has_committed: bool = False
    change: Change | None = None
    outcome: Outcome | None = None
    error: Exception | None = None

    @property
    def device_id(self) -> str:
        """The device."""
        return self.task.device_id

    @property
    def has_unpublished(self) -> bool:
        """Whether it is for this batch to publish something of it."""
        is_writer = self.has_committed or isinstance(self.task, Announced)
        return is_writer and self.published < self.stored.last_sequence


async def each(
    devices: Sequence[Device],
    step: Callable[[Device], Awaitable[None]],
    deadline: Deadline,
    *,
    service: str = "tables",
    at_once: int = AT_ONCE,
) -> None:
    """Take a step with each device that has not failed, side by side; an error is the device's own.

    Args:
        devices: The devices.
        step: What asks a service.
        deadline: When no further step begins, and those under way are cut off.
        service: That service.
        at_once: Devices side by side.
    """
    slots = asyncio.Semaphore(at_once)

    async def one(device: Device) -> None:
        if device.error is not None:
            return
        async with slots:
            with about(device=device.device_id):
                try:
                    async with deadline.limits(service):
                        await step(device)
                except Exception as error:  # noqa: BLE001 (it is in the result of the device, and the others go on)
                    device.error = error

    await asyncio.gather(*map(one, devices))
