"""A batch on its way through the phases: the state of each device, and a way to run a step for each."""

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
from status_core import DeploymentStatus, Listings

AT_ONCE: Final = 100
"""How many devices of a batch are processed at once."""


@dataclass(slots=True)
class Device:
    """A device on its way through the phases.

    Attributes:
        listings: What the hub lists, as of the start of the batch.
        published: The sequence up to which its transitions are published.
        pending: Announcements that end with its projection.
        history: Rows of the transitions committed last.
        status: What its twin says; None if the hub has no twin, or it was not read.
        is_silent: The hub did not answer.
        holds_until: Until when the status is known to hold; None if the twin was read just now.
        cohorts: The cohorts that it is in; None to keep the stored ones.
        is_moving: The index must be updated, or checked.
    """

    task: Task
    stored: StoredDevice
    listings: Listings
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
        """The id of the device."""
        return self.task.device_id

    @property
    def has_unpublished(self) -> bool:
        """Whether this batch has events of the device to publish."""
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
    """Run a step for each device that has not failed, several at once. An error is stored in the device.

    Args:
        devices: The devices.
        step: The step, which calls a service.
        deadline: After it no step begins, and running ones are cut off.
        service: The service.
        at_once: How many devices at once.
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
                except Exception as error:  # noqa: BLE001 (it becomes the device's result, and the others go on)
                    device.error = error

    await asyncio.gather(*map(one, devices))
