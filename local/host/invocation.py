"""Invocations: functions, outcomes of their runs, and retries."""

import asyncio
import json
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.host.messages import ParameterBinding, RetryContext, RpcException, StatusResult, TypedData
from local.host.retry import RetryPolicy
from local.host.worker import Worker

logger = logging.getLogger("local.host")

_KEPT_OUTCOMES = 1000


class HostStoppedError(Exception):
    """The host stopped before the final outcome of an invocation."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the app.

    Attributes:
        name: Its name.
        id: Its id in the worker library.
        trigger: Its trigger binding, settings resolved (`type`, `name`, `eventHubName`, `schedule`, `route`, ...).
        retry: Its retry policy, or None.
    """

    name: str
    id: str
    trigger: Mapping[str, Any]
    retry: RetryPolicy | None


@dataclass(frozen=True, slots=True)
class InvocationOutcome:
    """The outcome of one attempt to run a function.

    Attributes:
        function: The function's name.
        attempt: 0 for the first attempt, n for its n-th retry.
        ok: Whether the function returned.
        return_value: What it returned, None for nothing.
        exception: Type and text of what it raised, empty if it returned.
        traceback: The traceback of that exception.
    """

    function: str
    attempt: int
    ok: bool
    return_value: TypedData | None = None
    exception: str = ""
    traceback: str = ""


class Invoker:
    """Run functions, each to the end of its retry policy, and keep the last outcomes."""

    def __init__(
        self, worker: Worker, clock: Callable[[], datetime], sleep: Callable[[float], Awaitable[object]]
    ) -> None:
        self._worker = worker
        self._clock = clock
        self._sleep = sleep
        self._stopping = asyncio.Event()
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.outcomes: deque[InvocationOutcome] = deque(maxlen=_KEPT_OUTCOMES)

    async def run(
        self, function: Function, data: TypedData, trigger_metadata: Mapping[str, TypedData] | None = None
    ) -> InvocationOutcome:
        """Run `function` until an attempt succeeds or its retry policy is exhausted; return the last outcome.

        Raises:
            HostStoppedError: The host stopped before the first attempt or between two.
        """
        self._check_running()
        metadata = {**(trigger_metadata or {}), "sys": self._system_metadata(function)}
        self._running += 1
        self._idle.clear()
        try:
            retry = RetryContext()
            while True:
                outcome = await self._attempt(function, data, metadata, retry)
                attempt = outcome.attempt + 1
                if outcome.ok or function.retry is None or not function.retry.allows(attempt):
                    return outcome
                retry = RetryContext(
                    retry_count=attempt,
                    max_retry_count=function.retry.max_retry_count,
                    exception=RpcException(message=outcome.exception, stack_trace=outcome.traceback),
                )
                await self._wait(function.retry.delay(attempt))
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def stop(self) -> None:
        """End the waits between attempts, start no further ones, and wait for running ones."""
        self._stopping.set()
        await self._idle.wait()

    async def _attempt(
        self, function: Function, data: TypedData, metadata: Mapping[str, TypedData], retry: RetryContext
    ) -> InvocationOutcome:
        parameter = ParameterBinding(name=function.trigger["name"], data=data)
        response = await self._worker.invoke(function.id, parameter, metadata, retry)
        error = response.result.exception or RpcException()
        outcome = InvocationOutcome(
            function.name,
            retry.retry_count,
            response.result.status == StatusResult.Success,
            response.return_value,
            error.message,
            error.stack_trace,
        )
        self.outcomes.append(outcome)
        if not outcome.ok:
            logger.error(
                "%s failed in attempt %d: %s\n%s",
                outcome.function,
                outcome.attempt + 1,
                outcome.exception,
                outcome.traceback,
            )
        return outcome

    async def _wait(self, seconds: float) -> None:
        delay = asyncio.ensure_future(self._sleep(seconds))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({delay, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self._check_running()
            delay.result()
        finally:
            delay.cancel()
            stopping.cancel()

    def _check_running(self) -> None:
        if self._stopping.is_set():
            raise HostStoppedError

    def _system_metadata(self, function: Function) -> TypedData:
        return TypedData(
            json=json.dumps(
                {
                    "MethodName": function.name,
                    "UtcNow": self._clock().isoformat(),
                    "RandGuid": str(uuid.uuid4()),
                }
            )
        )
