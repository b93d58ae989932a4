"""One simulated edgeAgent: it reconciles, reports, waits five seconds and starts over.

The agent is a generator that yields the time of its next step. Nothing happens between two steps, so a clock that
jumps by an hour makes the same reports at the same times as one that ticks.

Source of its behavior: Azure/iotedge 1.5, edge-agent (Core/Agent.cs, IoTHub/reporters). Its reports are compared with
those of a real edgeAgent in tests/local/fleet/test_fleet_traces.py, which lists the remaining differences.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from local.fleet.containers import ContainerRuntime
from local.fleet.edged import CallError, Edged, Script
from local.fleet.manifest import EDGE_AGENT, Manifest, ManifestError, ModuleSpec, read_manifest
from local.fleet.observed import ObservedModule, observe
from local.fleet.plan import plan
from local.fleet.plan_runner import AgentReplacedError, PlanError, PlanRunner
from local.fleet.report import (
    Report,
    difference,
    known_report,
    modules_entry,
    runtime_entry,
    status_entry,
    stopped_report,
    version_entry,
)
from local.fleet.restarts import Restarts, StatusError
from local.iothub.registry import Registry

_RECONCILE_EVERY: Final = timedelta(seconds=5)
_AGENT_SWAP: Final = timedelta(seconds=10)
_PARENT: Final = "parent.example.com"
"""Host name instead of `$upstream`."""


class EdgeAgent:
    """The agent of one device, writing to the registry as the device would.

    Args:
        registry: The hub's twins. An unknown device cannot connect, and reports nothing.
        device_id: The device.
        runtime: Its containers.
        image: The edgeAgent image that the device was delivered with.
        newest_schema: Newest schema of a manifest that this agent reads.
        pulls_first: Whether its `ModuleUpdateMode` is `WaitForAllPulls`.

    Attributes:
        wakes_at: When its next step is; None while it is off.
    """

    def __init__(  # noqa: PLR0913 (the last three are what devices differ in)
        self,
        registry: Registry,
        device_id: str,
        runtime: ContainerRuntime,
        *,
        image: str = "mcr.microsoft.com/azureiotedge-agent:1.5",
        newest_schema: tuple[int, int] = (1, 1),
        pulls_first: bool = False,
    ) -> None:
        self.device_id = device_id
        self.runtime = runtime
        self.wakes_at: datetime | None = None
        self._registry = registry
        self._newest_schema = newest_schema
        self._pulls_first = pulls_first
        runtime.create(ModuleSpec(EDGE_AGENT, image, create_options=""))
        self._edged = Edged(runtime)
        self._manifest: Manifest | None = None
        self._status = status_entry(406, "")
        self._restarts: dict[str, Restarts] = {}
        self._runner = PlanRunner(self._edged, self._restarts, pulls_first=pulls_first)
        self._reported = known_report({})
        self._script: Script[None] | None = None

    def start(self, now: datetime) -> None:
        """Switch the device on, or start its agent. It boots in the next step."""
        if self.wakes_at is None:
            self.wakes_at = now
            self._script = self._run()

    def power_off(self, now: datetime) -> None:
        """Cut the power, without a last report."""
        self._end(now)
        self.runtime.halt()

    def kill(self, now: datetime) -> None:
        """Kill only the agent, without a last report. The modules keep running."""
        if self._end(now):
            self.runtime.kill(EDGE_AGENT)

    def shut_down(self, now: datetime) -> None:
        """Shut the device down: the agent reports it, and edged stops the modules."""
        if self._end(now):
            self._send(stopped_report(self._reported))
            for name in self.runtime.containers:
                self.runtime.stop(name)
            self.runtime.halt()

    def step(self, now: datetime) -> None:
        """Run all steps that are due."""
        while self._script is not None and self.wakes_at is not None and self.wakes_at <= now:
            self.runtime.advance(self.wakes_at)
            self.wakes_at = next(self._script)

    def _end(self, now: datetime) -> bool:
        """End the process, after the steps that were due before.

        Returns:
            Whether there was a process.
        """
        self.step(now)
        self.runtime.advance(now)
        self._connect(connected=False)
        was_on, self.wakes_at, self._script = self._script is not None, None, None
        return was_on

    def _run(self) -> Script[None]:
        self._boot()
        while True:
            with suppress(AgentReplacedError):
                yield from self._reconcile()
            if self._runner.successor is not None:
                yield from self._hand_over(self._runner.successor)
                self._boot()
            else:
                yield self.runtime.now + _RECONCILE_EVERY

    def _boot(self) -> None:
        """Start a process: read the last report from the twin, forget failures of commands."""
        self.runtime.containers[EDGE_AGENT].start(self.runtime.now)
        twin = self._connect(connected=True)
        self._reported = known_report(twin["properties"]["reported"] if twin else {})
        self._runner = PlanRunner(self._edged, self._restarts, pulls_first=self._pulls_first)

    def _hand_over(self, successor: ModuleSpec) -> Script[None]:
        """End a process that another one replaces. The modules keep running."""
        self._send(stopped_report(self._reported))
        self.runtime.create(successor)
        yield self.runtime.now + _AGENT_SWAP

    def _reconcile(self) -> Script[None]:
        twin = self._connect(connected=True)
        if twin is None:
            return
        errors: list[Exception] = []
        observed, wanted = None, None
        try:
            yield from self._edged.list_modules()
            observed = observe(self.runtime, self._manifest.modules if self._manifest else {}, self._restarts)
        except (CallError, StatusError) as error:
            errors.append(error)
        try:
            wanted = read_manifest(twin["properties"]["desired"], self._newest_schema, _PARENT)
        except ManifestError as error:
            errors.append(error)
        # The final report shows the state before the plan, so one report lags behind.
        if observed is not None and wanted is not None:
            yield from self._carry_out(wanted, observed)
        else:
            self._fail(errors)
        self._report(observed)

    def _carry_out(self, wanted: Manifest, observed: Mapping[str, ObservedModule]) -> Script[None]:
        commands = plan(wanted, observed, self.runtime.now, pulls_first=self._pulls_first)
        if any(command.needs_identity for command in commands):
            try:
                yield from self._edged.list_identities()
            except CallError:  # the agent logs it, but does not report it
                commands = [command for command in commands if not command.needs_identity]
        try:
            if (yield from self._runner.run(wanted.version, commands)):
                self._status = status_entry(200, "")
        except PlanError as error:
            self._fail([error])
        self._manifest = wanted

    def _fail(self, errors: list[Exception]) -> None:
        if len(errors) == 1:
            [error] = errors
            self._status = status_entry(error.code if isinstance(error, ManifestError) else 500, str(error))
        else:
            texts = [f"({error})" for error in errors]
            self._status = status_entry(500, " ".join(["One or more errors occurred.", *texts]))

    def _report(self, observed: Mapping[str, ObservedModule] | None) -> None:
        manifest = self._manifest
        self._send(
            {
                "schemaVersion": "1.0",
                "version": version_entry(),
                "lastDesiredVersion": manifest.version if manifest else self._reported["lastDesiredVersion"],
                "lastDesiredStatus": self._status,
                "runtime": runtime_entry(manifest),
                **modules_entry(observed),
            }
        )

    def _send(self, report: Report) -> None:
        patch = difference(self._reported, report)
        if patch and self._registry.get(self.device_id) is not None:
            self._registry.patch_reported(self.device_id, patch, at=self.runtime.now)
            self._reported = report

    def _connect(self, *, connected: bool) -> Mapping[str, Any] | None:
        """Connect to the hub, or disconnect.

        Returns:
            The twin; None if the hub does not know the device.
        """
        twin = self._registry.get(self.device_id)
        if twin is not None:
            self._registry.set_connected(self.device_id, connected=connected)
        return twin
