"""Plan the commands that bring the modules on a device to a manifest's state.

Source: Azure/iotedge, edge-agent, Core/planner/HealthRestartPlanner.cs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum, auto

from local.fleet.manifest import EDGE_AGENT, Manifest, ModuleSpec
from local.fleet.observed import ObservedModule
from local.fleet.restarts import cool_off_is_over, has_healed


class Verb(IntEnum):
    """What a command does to a module, in the order of commands of the same startup order."""

    UPDATE_AGENT = auto()
    REMOVE = auto()
    FORGET = auto()
    """Forgets its restarts."""
    PULL = auto()
    CREATE = auto()
    UPDATE = auto()
    START = auto()
    STOP = auto()
    RESTART = auto()


@dataclass(frozen=True, slots=True)
class Command:
    """One step of a plan; `spec` is the target of the module, or what it was."""

    verb: Verb
    spec: ModuleSpec

    @property
    def needs_identity(self) -> bool:
        """Whether to skip it if the identities of modules cannot be read."""
        return self.verb in (Verb.UPDATE_AGENT, Verb.PULL, Verb.CREATE, Verb.UPDATE)


def plan(
    wanted: Manifest, observed: Mapping[str, ObservedModule], now: datetime, *, pulls_first: bool
) -> list[Command]:
    """Return the commands of one reconcile, by startup order, edgeAgent first.

    Args:
        wanted: The manifest.
        observed: The existing modules.
        now: The time on the device.
        pulls_first: Whether to pull all images before anything else.
    """
    ordered: list[tuple[int, Command]] = []
    for name, module in observed.items():
        if name not in wanted.modules and name != EDGE_AGENT:
            order = module.accepted.startup_order if module.accepted else 0
            ordered += [(order, Command(verb, module.container.spec)) for verb in (Verb.REMOVE, Verb.FORGET)]
    for spec in wanted.modules.values():
        ordered += [(spec.startup_order, Command(verb, spec)) for verb in _verbs(spec, observed.get(spec.name), now)]
    if wanted.agent is not None and _is_another_agent(observed[EDGE_AGENT], wanted.agent):
        ordered.append((0, Command(Verb.UPDATE_AGENT, wanted.agent)))
    ordered.sort(key=lambda entry: (entry[0], entry[1].verb, entry[1].spec.name))
    commands = [command for _, command in ordered]
    pulls = [Command(Verb.PULL, command.spec) for command in commands if command.verb in (Verb.CREATE, Verb.UPDATE)]
    return [*pulls, *commands] if pulls_first else commands


def _verbs(spec: ModuleSpec, module: ObservedModule | None, now: datetime) -> Iterator[Verb]:
    if module is None:
        yield Verb.CREATE
        return
    # Of the container the agent compares the image alone. All else is compared with the manifest that it accepted
    # last: a change that never reached the container counts as done once its version was.
    known = replace(module.accepted, image=module.container.spec.image) if module.accepted else None
    if known is None or replace(known, status=spec.status) != spec:
        yield from (Verb.FORGET, Verb.UPDATE)
    elif known.status != spec.status:
        if spec.status in ("running", "stopped") and spec.status != module.status:
            yield from (Verb.FORGET, Verb.START if spec.status == "running" else Verb.STOP)
    else:
        yield from _verbs_of_what_is_as_accepted(spec, module, now)


def _verbs_of_what_is_as_accepted(spec: ModuleSpec, module: ObservedModule, now: datetime) -> Iterator[Verb]:
    container = module.container
    match spec.status, module.status:
        case "running", "running":
            if module.restarts and has_healed(container.started_at, now):
                yield Verb.FORGET
        case "running", "backoff":
            if cool_off_is_over(container.exited_at, module.restart_count, now):
                yield Verb.RESTART
        case "running", "stopped":
            # A module that exits with 0 under on-failure or on-unhealthy is started again without back-off.
            if spec.restart_policy != "never" or container.started_at is None:
                yield Verb.START
        case "stopped", "running":
            yield Verb.STOP


def _is_another_agent(current: ObservedModule, wanted: ModuleSpec) -> bool:
    """Whether the agent has to replace itself: its image or the labels of its container differ.

    The container that edged created has no such labels. For it only the image counts.
    """
    known = current.container.spec
    labels = (known.create_options, known.env)
    return known.image != wanted.image or (known.create_options != "" and labels != (wanted.create_options, wanted.env))
