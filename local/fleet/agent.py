"""One simulated edgeAgent: it reconciles, reports, waits five seconds and starts over.

The agent is a generator that yields the time of its next move. Nothing happens between two moves, so a clock that
jumps by an hour makes the same reports at the same times as one that ticks.

Source for what it does: Azure/iotedge, edge-agent (Core/Agent.cs, Core/planrunner, IoTHub/reporters).
"""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from local.fleet.containers import ContainerRuntime
from local.fleet.manifest import EDGE_AGENT, Manifest, ManifestError, ModuleSpec, read_manifest
from local.fleet.plan import Command, Verb, plan
from local.fleet.report import Report, difference, known_report, modules_entry, status_entry, stopped_report
from local.fleet.restarts import Restarts, has_healed
from local.iothub.registry import Registry

_RECONCILE_EVERY: Final = timedelta(seconds=5)
_CALL_TIMEOUT: Final = timedelta(seconds=300)
_AGENT_SWAP: Final = timedelta(seconds=10)
_COMMAND_COOL_OFF: Final = timedelta(seconds=10)
_MOST_FAILURES: Final = 20
_PARENT: Final = "parent.example.com"
"""Host name that stands for `$upstream`."""
_VERSION: Final = "1.5.21"
_BUILD: Final = "61356014"
_COMMIT: Final = "bb9a26162c4c88b3ef9a50d33632ab78bd4247d6"

type _Script[T] = Generator[datetime, None, T]


class _CommandError(Exception):
    """A step of a plan failed; its text goes into the report."""


class _AgentReplacedError(Exception):
    """This process of the agent is gone, another one takes over."""


@dataclass(frozen=True, slots=True)
class _Failure:
    count: int
    last: datetime

    def cools_off(self, now: datetime) -> bool:
        """Whether the command is not tried again yet, or ever."""
        return self.count >= _MOST_FAILURES or now < self.last + _COMMAND_COOL_OFF * 2**self.count


class EdgeAgent:
    """The agent of one device, writing to the registry as the device would.

    Args:
        registry: The hub's twins. A device that it does not know cannot connect, and reports nothing.
        device_id: The device.
        runtime: Its containers.
        image: The edgeAgent image that the device came with.
        newest_schema: Newest schema of a manifest that this agent reads.

    Attributes:
        wakes_at: When it moves next; None while it is off.
    """

    def __init__(
        self,
        registry: Registry,
        device_id: str,
        runtime: ContainerRuntime,
        *,
        image: str = "mcr.microsoft.com/azureiotedge-agent:1.5",
        newest_schema: tuple[int, int] = (1, 1),
    ) -> None:
        self.device_id = device_id
        self.runtime = runtime
        self.wakes_at: datetime | None = None
        self._registry = registry
        self._newest_schema = newest_schema
        runtime.create(ModuleSpec(EDGE_AGENT, image))
        self._manifest: Manifest | None = None
        self._status = status_entry(406, "")
        self._restarts: dict[str, Restarts] = {}
        self._failures: dict[str, _Failure] = {}
        self._failures_version = 0
        self._reported = known_report({})
        self._now = datetime.min.replace(tzinfo=UTC)
        self._script: _Script[None] | None = None

    def start(self, now: datetime) -> None:
        """Switches the device on; it comes up with the next step."""
        if self.wakes_at is None:
            self._now = self.wakes_at = now
            self._script = self._run()

    def power_off(self, now: datetime) -> None:
        """Cuts the power: the hub hears nothing of it."""
        self.step(now)
        self.runtime.halt(now)
        self.wakes_at = self._script = None

    def shut_down(self, now: datetime) -> None:
        """Stops the device in good order: the agent says so and stops its modules."""
        self.step(now)
        if self.wakes_at is not None:
            self._now = now
            self._stop()
            self.runtime.halt(now)
        self.wakes_at = self._script = None

    def step(self, now: datetime) -> None:
        """Makes all moves that are due."""
        while self._script is not None and self.wakes_at is not None and self.wakes_at <= now:
            self._now = self.wakes_at
            self.runtime.advance(self._now)
            self.wakes_at = next(self._script)

    def _run(self) -> _Script[None]:
        self._boot()
        while True:
            try:
                yield from self._reconcile()
            except _AgentReplacedError:
                self._boot()
            else:
                yield self._now + _RECONCILE_EVERY

    def _boot(self) -> None:
        """A new process: what was reported is read from the twin, the failures of commands are forgotten."""
        self.runtime.containers[EDGE_AGENT].start(self._now)
        twin = self._registry.get(self.device_id)
        self._reported = known_report(twin["properties"]["reported"] if twin else {})
        self._failures = {}

    def _reconcile(self) -> _Script[None]:
        twin = self._registry.get(self.device_id)
        if twin is None:
            return
        self._forget_healed()
        # What is reported at the end is what stood here before the plan: hence one report that lags behind.
        snapshot = self._snapshot()
        try:
            wanted = read_manifest(twin["properties"]["desired"], self._newest_schema, _PARENT)
        except ManifestError as error:
            self._status = status_entry(error.code, str(error))
        else:
            yield from self._carry_out(wanted)
        self._report(snapshot)

    def _carry_out(self, wanted: Manifest) -> _Script[None]:
        if wanted.version != self._failures_version:
            self._failures, self._failures_version = {}, wanted.version
        errors, skipped = [], False
        for command in plan(wanted, self.runtime, self._restarts, self._now):
            name = command.spec.name
            failure = self._failures.get(name)
            if failure is not None and failure.cools_off(self._now):
                skipped = True
                continue
            try:
                yield from self._execute(command)
            except _CommandError as error:
                errors.append(f"({error})")
                self._failures[name] = _Failure(failure.count + 1 if failure else 1, self._now)
            else:
                self._failures.pop(name, None)
        self._manifest = wanted
        if errors:
            self._status = status_entry(500, " ".join(["One or more errors occurred.", *errors]))
        elif not skipped:  # a plan with a gap says nothing new: the last failure stays
            self._status = status_entry(200, "")

    def _execute(self, command: Command) -> _Script[None]:
        """Carries out one command.

        Raises:
            _CommandError: It failed.
            _AgentReplacedError: It ended this process.
        """
        spec, runtime = command.spec, self.runtime
        if command.verb in (Verb.CREATE, Verb.UPDATE, Verb.UPDATE_AGENT):
            yield from self._prepare(spec)
        match command.verb:
            case Verb.UPDATE_AGENT:
                self._stop()
                runtime.create(spec)
                yield self._now + _AGENT_SWAP
                raise _AgentReplacedError
            case Verb.REMOVE:
                del runtime.containers[spec.name]
                self._restarts.pop(spec.name, None)
            case Verb.CREATE | Verb.UPDATE:
                self._restarts.pop(spec.name, None)
                runtime.create(spec)
                if spec.status == "running":
                    runtime.containers[spec.name].start(self._now)
            case Verb.STOP:
                runtime.stop(spec.name, self._now)
                runtime.containers[spec.name].spec = spec
            case Verb.START | Verb.RESTART:
                runtime.containers[spec.name].spec = spec
                runtime.containers[spec.name].start(self._now)
                if command.verb is Verb.RESTART:
                    known = self._restarts.get(spec.name, Restarts())
                    self._restarts[spec.name] = Restarts(known.count + 1, self._now)

    def _prepare(self, spec: ModuleSpec) -> _Script[None]:
        """Pulls an image for as long as a call to the runtime may take; the pull goes on after that.

        Raises:
            _CommandError: The image is not there.
        """
        if spec.pull_policy == "never":
            return  # the image came with the device
        pulled_at, deadline = self.runtime.pull(spec.image, self._now), self._now + _CALL_TIMEOUT
        if pulled_at is None or pulled_at > deadline:
            yield deadline
            seconds = round(_CALL_TIMEOUT.total_seconds())
            raise _CommandError(
                f"The request was canceled due to the configured HttpClient.Timeout of {seconds} seconds elapsing."
            )
        if pulled_at > self._now:
            yield pulled_at
        if not self.runtime.has(spec.image, self._now):
            raise _CommandError(
                f"Error calling prepare update for module {spec.name}: Could not pull image {spec.image}"
            )

    def _stop(self) -> None:
        """The end of a process that is asked to end."""
        self._send(stopped_report(self._reported))
        for name in self.runtime.containers:
            self.runtime.stop(name, self._now)

    def _snapshot(self) -> dict[str, Any]:
        accepted = self._manifest.modules if self._manifest else {}
        return modules_entry(self.runtime.containers, accepted, self._restarts)

    def _report(self, snapshot: dict[str, Any]) -> None:
        manifest = self._manifest
        runtime = (
            {"type": "Unknown"}
            if manifest is None
            else {"type": "docker", "settings": {"registryCredentials": {}, **manifest.runtime}}
        )
        self._send(
            {
                "schemaVersion": "1.0",
                "version": {"version": _VERSION, "build": _BUILD, "commit": _COMMIT},
                "lastDesiredVersion": manifest.version if manifest else self._reported["lastDesiredVersion"],
                "lastDesiredStatus": self._status,
                "runtime": {
                    "platform": {"os": "linux", "architecture": "x86_64", "version": _VERSION},
                    **runtime,
                },
                **snapshot,
            }
        )

    def _send(self, report: Report) -> None:
        patch = difference(self._reported, report)
        if patch and self._registry.get(self.device_id) is not None:
            self._registry.patch_reported(self.device_id, patch, at=self._now)
            self._reported = report

    def _forget_healed(self) -> None:
        for name, container in self.runtime.containers.items():
            if has_healed(container, self._restarts.get(name, Restarts()), self._now):
                del self._restarts[name]
