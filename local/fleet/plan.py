"""What has to be done to make a device's containers what a manifest wants."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto

from local.fleet.containers import Container, ContainerRuntime
from local.fleet.manifest import EDGE_AGENT, EDGE_HUB, Manifest, ModuleSpec
from local.fleet.restarts import Restarts, cool_off_is_over, runtime_status


class Verb(Enum):
    """What a command does to a module."""

    UPDATE_AGENT = auto()
    REMOVE = auto()
    CREATE = auto()
    UPDATE = auto()
    START = auto()
    STOP = auto()
    RESTART = auto()


@dataclass(frozen=True, slots=True)
class Command:
    """One step of a plan; `spec` is what the module is to become, or was."""

    verb: Verb
    spec: ModuleSpec


def plan(wanted: Manifest, runtime: ContainerRuntime, restarts: Mapping[str, Restarts], now: datetime) -> list[Command]:
    """The commands of one reconcile: the agent itself, then removals, then the modules in their startup order."""
    containers = runtime.containers
    commands = []
    if wanted.agent is not None and _is_another_agent(containers[EDGE_AGENT].spec, wanted.agent):
        commands.append(Command(Verb.UPDATE_AGENT, wanted.agent))
    commands += [
        Command(Verb.REMOVE, container.spec)
        for name, container in containers.items()
        if name not in wanted.modules and name != EDGE_AGENT
    ]
    for spec in sorted(
        wanted.modules.values(), key=lambda spec: (spec.startup_order, spec.name != EDGE_HUB, spec.name)
    ):
        verb = _verb(spec, runtime, restarts.get(spec.name, Restarts()), now)
        if verb is not None:
            commands.append(Command(verb, spec))
    return commands


def _verb(spec: ModuleSpec, runtime: ContainerRuntime, restarts: Restarts, now: datetime) -> Verb | None:
    container = runtime.containers.get(spec.name)
    if container is None:
        return Verb.CREATE
    if _is_another_module(container.spec, spec):
        return Verb.UPDATE
    if spec.status == "stopped":
        return Verb.STOP if container.state == "running" else None
    if spec.status != "running" or container.state == "running":
        return None  # words other than running and stopped are read, and nothing is done about them
    return _verb_of_what_does_not_run(spec, container, restarts, now)


def _verb_of_what_does_not_run(
    spec: ModuleSpec, container: Container, restarts: Restarts, now: datetime
) -> Verb | None:
    if container.spec.status != "running":
        return Verb.START
    status = runtime_status(container, spec, restarts)
    if status == "backoff":
        return Verb.RESTART if cool_off_is_over(container, restarts, now) else None
    # What exits with 0 under on-failure or on-unhealthy is in no back-off, and yet is started again.
    restartable = spec.restart_policy != "never" or container.state == "created"
    return Verb.START if status == "stopped" and restartable else None


def _is_another_module(current: ModuleSpec, wanted: ModuleSpec) -> bool:
    """Whether a container has to be made anew: anything differs but whether it runs."""
    return replace(current, status=wanted.status) != wanted


def _is_another_agent(current: ModuleSpec, wanted: ModuleSpec) -> bool:
    """Whether the agent has to replace itself: it compares its image and the labels of its container."""
    return (current.image, current.create_options, current.env) != (wanted.image, wanted.create_options, wanted.env)
