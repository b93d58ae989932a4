"""A functions host for one machine: runs a Python function app on the same worker library as Azure."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from pathlib import Path

from azure.core.credentials_async import AsyncTokenCredential
from azure.identity.aio import ManagedIdentityCredential

from local.clock import utc_now
from local.host.checkpoints import Checkpoints
from local.host.eventhub_trigger import EventHubTrigger, event_hub_client
from local.host.host_json import read_host_json
from local.host.http_trigger import HttpServer
from local.host.invocation import Function, InvocationOutcome, Invoker
from local.host.messages import RpcFunctionMetadata
from local.host.retry import retry_policy
from local.host.settings import AppSettings
from local.host.timer_trigger import TimerTrigger
from local.host.worker import AppLoadError, Worker


class FunctionsHost:
    """Run one function app: its event hub, timer and HTTP functions.

    A process can run one host at a time, because the worker library and the environment are global. Start it once.

    Args:
        app_dir: Folder of `function_app.py` and `host.json`.
        settings: The app settings; set as environment variables while the host runs.
        data_dir: Folder of the checkpoints.
        clock: The clock of timers.
        sleep: Waits some seconds: between retries and until a timer is due.
        function_key: The key of HTTP functions with auth level `function`. None leaves them open.
        http_port: The port on 127.0.0.1, 0 for a free one.
        timers: Whether timers fire on their schedules; `run_timer` always fires them.
        credential: For event hubs with an identity connection, instead of the identity in their settings.

    Attributes:
        functions: The functions of the app by name.
        http_port: The port that HTTP functions are served on.
    """

    def __init__(  # noqa: PLR0913 - each part of the world around an app can be replaced
        self,
        app_dir: Path,
        settings: Mapping[str, str],
        *,
        data_dir: Path,
        clock: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        function_key: str | None = None,
        http_port: int = 0,
        timers: bool = False,
        credential: AsyncTokenCredential | None = None,
    ) -> None:
        self._app_dir = app_dir.resolve()
        self._settings = AppSettings(settings)
        self._checkpoints = Checkpoints(data_dir / "checkpoints.json")
        self._clock = clock
        self._sleep = sleep
        self._function_key = function_key
        self._follow_schedules = timers
        self._credential = credential
        self._worker = Worker()
        self._invoker = Invoker(self._worker, clock, sleep)
        self._event_hubs: list[EventHubTrigger] = []
        self._timers: dict[str, TimerTrigger] = {}
        self._running = AsyncExitStack()
        self.http_port = http_port
        self.functions: Mapping[str, Function] = {}

    @property
    def invocations(self) -> Sequence[InvocationOutcome]:
        """The last thousand outcomes, one per attempt, newest last."""
        return self._invoker.outcomes

    async def start(self) -> None:
        """Load the app and start its triggers; if one fails to start, stop everything.

        Raises:
            AppLoadError: The app does not load, or needs something that this host does not support.
            MissingSettingError: A binding names a setting that does not exist.
            azure.eventhub.exceptions.EventHubError: An event hub cannot be reached.
        """
        async with AsyncExitStack() as starting:
            starting.enter_context(self._settings.environment())
            found = await self._worker.start(self._app_dir)
            starting.callback(self._worker.stop)
            self.functions = {metadata.name: self._function(metadata) for metadata in found}
            await self._start_triggers(starting)
            self._running = starting.pop_all()

    async def stop(self) -> None:
        """Let running invocations finish, end the waits between retries, then close everything that is open."""
        await self._invoker.stop()
        await self._running.aclose()

    async def run_timer(self, name: str) -> InvocationOutcome:
        """Fire the timer function `name` now; return the outcome of its last attempt.

        Raises:
            KeyError: The app has no such timer function.
        """
        if name not in self._timers:
            raise KeyError(f"{name!r} is not one of the app's timer functions: {', '.join(self._timers)}")
        return await self._timers[name].fire()

    async def drained(self) -> None:
        """Wait until every event that the event hubs hold now has been processed and checkpointed."""
        await asyncio.gather(*(trigger.drained() for trigger in self._event_hubs))

    async def processed(self, hub: str, newest: Mapping[str, int]) -> None:
        """Wait until events of an event hub have been processed and checkpointed: like `drained`, for the sender.

        Args:
            hub: The name of the event hub.
            newest: The last sequence number to wait for, by partition id; -1 for none.
        """
        groups = {
            function.trigger.get("consumerGroup") or "$Default"
            for function in self.functions.values()
            if function.trigger.get("eventHubName") == hub
        }
        for group in groups:
            for partition, number in newest.items():
                await self._checkpoints.reached(group, hub, partition, number)

    def _function(self, metadata: RpcFunctionMetadata) -> Function:
        bindings = [json.loads(binding) for binding in metadata.raw_bindings]
        for binding in bindings:
            if binding["type"] not in {"eventHubTrigger", "timerTrigger", "httpTrigger", "http"}:
                raise AppLoadError(f"function {metadata.name}: this host does not support {binding['type']}")
        trigger = next(binding for binding in bindings if binding["type"].endswith("Trigger"))
        resolved = {
            key: self._settings.resolve(value, metadata.name) if isinstance(value, str) else value
            for key, value in trigger.items()
        }
        return Function(metadata.name, metadata.function_id, resolved, retry_policy(metadata.retry_options))

    async def _start_triggers(self, starting: AsyncExitStack) -> None:
        limits = read_host_json(self._app_dir)
        functions = {
            kind: [function for function in self.functions.values() if function.trigger["type"] == kind]
            for kind in ("eventHubTrigger", "timerTrigger", "httpTrigger")
        }
        self._timers = {
            function.name: TimerTrigger(function, self._invoker, clock=self._clock, sleep=self._sleep)
            for function in functions["timerTrigger"]
        }
        server = HttpServer(
            functions["httpTrigger"],
            self._invoker,
            prefix=limits.route_prefix,
            key=self._function_key,
            clock=self._clock,
        )
        for function in functions["eventHubTrigger"]:
            name = function.trigger.get("connection", "")
            credential = self._credential
            identity = self._settings.managed_identity(name)
            if credential is None and identity is not None:
                credential = await starting.enter_async_context(ManagedIdentityCredential(client_id=identity))
            client = event_hub_client(function, self._settings.connection(name, function.name), credential)
            trigger = EventHubTrigger(function, client, checkpoints=self._checkpoints, invoker=self._invoker)
            starting.push_async_callback(trigger.stop)
            await trigger.start(limits)
            self._event_hubs.append(trigger)
        if functions["httpTrigger"]:
            starting.push_async_callback(server.stop)
            self.http_port = await server.start(self.http_port)
        if self._follow_schedules:
            for timer in self._timers.values():
                task = asyncio.create_task(timer.follow_schedule())
                starting.push_async_callback(_cancel, task)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
