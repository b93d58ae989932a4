"""The app in a process of its own, which a test can kill at any moment."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import azure.eventhub.aio  # noqa: F401 (loaded here once, and not by each process that is forked)
from few_shards import few_shards

from local.iothub.unasked import UnaskedTwins
from status_app.errors import UnavailableError
from status_app.ingest.event_batch import IncomingEvent
from status_app.iothub.twins import TwinPage
from status_app.reconcile.twin_changes import BatchError
from status_app.services import Services
from status_app.settings import Settings

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

DEVICE = "edge-01"
ATTEMPTS = 3
"""Of a step, as the host makes them: a machine under load may cut a connection that nobody meant to cut."""


@dataclass(frozen=True, slots=True)
class Step:
    """One invocation of a function.

    Attributes:
        run: What is invoked; `notification` is on_twin_changes with one event of the device.
        at: The clock.
        twin: What the hub holds of the device from now on; None: no such device.
    """

    run: Literal["notification", "flag_stuck", "resync"]
    at: datetime
    twin: Mapping[str, Any] | None


class _Hub(UnaskedTwins):
    """A hub of one device."""

    twin: Mapping[str, Any] | None = None

    async def read(self, _device_id: str, _share: object = None) -> Mapping[str, Any] | None:
        return self.twin

    async def several(self, _device_ids: Sequence[str], _share: object = None) -> None:
        """It sends no query."""

    async def page(self, _continuation: str | None, _share: object = None, _since: object = None) -> TwinPage:
        return TwinPage([self.twin] if self.twin is not None else [], None)


class _Errors(logging.Handler):
    """The errors that the app logs: there must be none."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def run(settings: Mapping[str, str], steps: Sequence[Step], done: "Synchronized[int]") -> None:
    """Take the steps, one after the other, and count those that are done."""
    errors = _Errors()
    logging.getLogger("status_app").addHandler(errors)
    with few_shards():
        asyncio.run(_run(settings, steps, done))
    assert errors.lines == []


async def _run(settings: Mapping[str, str], steps: Sequence[Step], done: "Synchronized[int]") -> None:
    now, hub = steps[0].at, _Hub()
    services = Services(Settings.read(settings), clock=lambda: now, twins=hub, sleep=_no_wait)
    for step in steps:
        now, hub.twin = step.at, step.twin
        for attempt in range(ATTEMPTS):
            try:
                await _invoke(services, step)
                break
            except (BatchError, UnavailableError, ExceptionGroup):
                if attempt == ATTEMPTS - 1:
                    raise
        done.value += 1
    await services.close()


async def _invoke(services: Services, step: Step) -> None:
    if step.run == "notification":
        await (await services.twin_changes()).handle([_event(step)], attempt=0)
    elif step.run == "flag_stuck":
        await (await services.flag_stuck()).run()
    else:
        await (await services.resync()).run()


async def _no_wait(_seconds: float) -> None:
    await asyncio.sleep(0)


def _event(step: Step) -> IncomingEvent:
    schema, operation = "twinChangeNotification", "replaceTwin"
    if step.twin is None:
        schema, operation = "deviceLifecycleNotification", "deleteDeviceIdentity"
    return IncomingEvent(
        body=json.dumps({"version": (step.twin or {}).get("version")}).encode(),
        properties={
            "iothub-message-schema": schema,
            "opType": operation,
            "hubName": "hub1",
            "deviceId": DEVICE,
            "operationTimestamp": step.at.isoformat(),
            **({"moduleId": "$edgeAgent"} if step.twin is not None else {}),
        },
        system_properties={},
        partition_id="0",
        sequence_number=1,
        enqueued_time=step.at,
    )
