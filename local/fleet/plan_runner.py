"""How the agent carries out a plan: failed commands are retried with growing delays, the rest continues.

Source: Azure/iotedge, edge-agent, Core/planrunner/OrdererdRetryPlanRunner.cs and Edgelet/commandfactories.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from local.fleet.edged import CallError, Edged, Script
from local.fleet.manifest import ModuleSpec
from local.fleet.plan import Command, Verb
from local.fleet.restarts import Restarts

_COOL_OFF: Final = timedelta(seconds=10)
_MOST_FAILURES: Final = 20


class PlanError(Exception):
    """Steps of a plan failed; its text goes into the report."""


class AgentReplacedError(Exception):
    """The agent's process ended during a plan, and a new one takes over."""


class _PrerequisiteError(CallError):
    """A pull failed that the rest of the plan depends on."""


@dataclass(frozen=True, slots=True)
class _Failure:
    count: int
    last: datetime
    is_prerequisite: bool

    def cools_off(self, now: datetime) -> bool:
        """Whether the command is not retried yet, or never again."""
        return self.count >= _MOST_FAILURES or now - self.last <= _COOL_OFF * 2**self.count


class PlanRunner:
    """Execute the plans of one process of the agent.

    Args:
        edged: The daemon that it calls.
        restarts: The stored restarts by module. Updated here.
        pulls_first: Whether a failed pull stops the whole plan.

    Attributes:
        successor: The module that replaces the agent, once it has requested that.
    """

    def __init__(self, edged: Edged, restarts: dict[str, Restarts], *, pulls_first: bool) -> None:
        self.successor: ModuleSpec | None = None
        self._edged = edged
        self._restarts = restarts
        self._pulls_first = pulls_first
        self._failures: dict[tuple[Verb, str], _Failure] = {}
        self._version = 0

    def run(self, version: int, commands: Iterable[Command]) -> Script[bool]:
        """Execute a plan.

        Args:
            version: Version of the manifest. Failures of other versions are forgotten.
            commands: The plan.

        Returns:
            Whether nothing was skipped because it cools off. True also for a plan that a failed pull stops, though
                nothing of it was done.

        Raises:
            PlanError: Some commands failed.
            AgentReplacedError: A command ended this process.
        """
        if version != self._version:
            self._failures, self._version = {}, version
        errors, complete = [], True
        for command in commands:
            key = (command.verb, command.spec.name)
            failure = self._failures.get(key)
            if failure is not None and failure.cools_off(self._edged.now):
                if failure.is_prerequisite:
                    break
                complete = False
                continue
            try:
                yield from self._carry_out(command)
            except CallError as error:
                errors.append(f"({error})")
                stops = isinstance(error, _PrerequisiteError)
                if command.verb is not Verb.RESTART:  # the agent considers every restart a new command
                    self._failures[key] = _Failure(failure.count + 1 if failure else 1, self._edged.now, stops)
                if stops:
                    break
            else:
                self._failures.pop(key, None)
        if errors:
            raise PlanError(" ".join(["One or more errors occurred.", *errors]))
        return complete

    def _carry_out(self, command: Command) -> Script[None]:
        spec, edged = command.spec, self._edged
        if self.successor is not None and command.verb is not Verb.FORGET:
            raise AgentReplacedError  # edged is busy with that, and answers nothing else
        match command.verb:
            case Verb.UPDATE_AGENT:
                yield from self._prepare(spec)
                self.successor = spec
            case Verb.REMOVE:
                yield from edged.remove(spec.name)
            case Verb.FORGET:
                self._restarts.pop(spec.name, None)
            case Verb.PULL:
                yield from self._prepare(spec)
            case Verb.CREATE | Verb.UPDATE:
                yield from self._make(command)
            case Verb.START:
                yield from edged.start(spec.name)
            case Verb.STOP:
                yield from edged.stop(spec.name)
            case Verb.RESTART:
                yield from self._restart(spec.name)

    def _make(self, command: Command) -> Script[None]:
        spec, edged = command.spec, self._edged
        if not self._pulls_first:
            yield from edged.prepare(spec)
        yield from edged.create(spec) if command.verb is Verb.CREATE else edged.update(spec)
        if spec.status == "running":
            yield from edged.start(spec.name)

    def _prepare(self, spec: ModuleSpec) -> Script[None]:
        try:
            yield from self._edged.prepare(spec)
        except CallError as error:
            if self._pulls_first:
                raise _PrerequisiteError("Failed to execute ExecutionPrerequisite command") from error
            raise

    def _restart(self, name: str) -> Script[None]:
        known, planned_at = self._restarts.get(name), self._edged.now
        yield from self._edged.start(name)
        self._restarts[name] = Restarts(known.count + 1 if known else 1, planned_at)
