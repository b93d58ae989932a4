"""The simulated edgeAgent beside the real one: both go through the same scenarios, and write the same.

`traces/*.jsonl` are what edgeAgent 1.6.1 wrote when its own code was driven through a scenario; IoT Hub, edged and
Docker were simulated at their sockets. A line is a change of the twin: what was desired from then on, whole, or what
the agent reported, as a patch. Here the simulated agent gets the same wishes at the same times, and the same trouble.
Two things are compared after each report: the reported section without its times, digests and versions, and what the
twin is judged to be.

What still differs:

- Times. Here a call to edged takes no time where nothing is pulled or killed, and the waits between its attempts are
  always the same. So reports come some seconds earlier or later, and a loop of crashes restarts at other seconds.
- Modules of the same startup order are made in the order of their names; to the agent that order is chance. With the
  times it decides whether modules that have been healthy for ten minutes are so in one report or in two (`joined`).
- A pull that outlasts its call goes on by itself here. There it went on with the next attempt only (v_long_pull).
- The version that is reported is always the same here, whatever the image of the agent.
- Never played: an agent that cannot read its own report, and nulls and rewrites it; one that misses a connection or a
  report; commands to stop or remove that fail; containers that are dead; agents before 1.5, with other words, times
  without Z, shorter time-outs and faults of their own.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from local.fleet import ContainerRuntime, EdgeAgent, ImageBehaviour
from local.iothub import Registry
from status_core import evaluate

TRACES = Path(__file__).parent / "traces"
DAY = "2026-03-02"
HUB = "mcr.microsoft.com/azureiotedge-hub:1.5"

type Trouble = Callable[[EdgeAgent, datetime], object]
type Verdict = tuple[str, str, dict[str, tuple[str, str]]]


@dataclass(frozen=True)
class Scenario:
    """What happens to a device, beside the deployments that it gets."""

    images: Mapping[str, ImageBehaviour] = field(default_factory=dict)
    troubles: tuple[tuple[str, Trouble], ...] = ()
    pulls_first: bool = False
    on_at: str = "08:00"
    minutes: int = 60
    joined: tuple[int, ...] = ()
    """Reports of the real agent that are one with the next here."""


def listing(error: HTTPStatus | None) -> Trouble:
    return lambda agent, _now: setattr(agent.runtime, "list_error", error)


def identities(error: HTTPStatus | None) -> Trouble:
    return lambda agent, _now: setattr(agent.runtime, "identity_error", error)


def unreadable(*names: str) -> Trouble:
    return lambda agent, _now: setattr(agent.runtime, "unreadable", set(names))


def image(name: str, behaviour: ImageBehaviour) -> Trouble:
    return lambda agent, _now: agent.runtime.images.update({name: behaviour})


def deployment(hub: "Hub", content: Mapping[str, Any]) -> Trouble:
    return lambda _agent, now: hub.registry.apply_desired("dev1", content, at=now)


CRASHES = ImageBehaviour(exits_after=3, exit_code=1)
NOT_THERE = ImageBehaviour(pull_error=HTTPStatus.NOT_FOUND)
REGISTRY_DOWN = ImageBehaviour(pull_seconds=1, pull_error=HTTPStatus.INTERNAL_SERVER_ERROR)

SCENARIOS = {
    "a_first_deployment": Scenario(),
    "b_image_update": Scenario({"reg.io/m1:1.1": ImageBehaviour(pull_seconds=60)}),
    "bb_images": Scenario(on_at="08:00:20"),
    "c_pull_not_found": Scenario({"reg.io/m1:1.1": NOT_THERE}),
    "c2_registry_down": Scenario(
        {"reg.io/m1:1.1": REGISTRY_DOWN}, (("08:25", image("reg.io/m1:1.1", ImageBehaviour())),)
    ),
    "d_crash_loop_3s": Scenario({"reg.io/m1:1.1": CRASHES}, minutes=67),
    "d2_crash_loop_3s_3h": Scenario({"reg.io/m1:1.1": CRASHES}, minutes=180),
    "e_crash_every_5min": Scenario({"reg.io/m1:1.1": ImageBehaviour(exits_after=297, exit_code=1)}, minutes=187),
    "f_one_crash": Scenario(
        {"reg.io/m1:1.1": ImageBehaviour(exits_after=122, exit_code=1)},
        (("08:12:20", image("reg.io/m1:1.1", ImageBehaviour())),),
    ),
    "g_stopped": Scenario({"reg.io/m1:1.0": ImageBehaviour(sigterm_code=None)}),
    "h_bad_manifests": Scenario(),
    "h2_bad_first_manifest": Scenario(),
    "h5_crash_under_bad_manifest": Scenario({"reg.io/m1:1.0": ImageBehaviour(exits_after=674, exit_code=1)}),
    "i1_never_exit1": Scenario({"reg.io/job:1.0": ImageBehaviour(exits_after=21.7, exit_code=1)}),
    "i4_onfailure_exit1": Scenario({"reg.io/job:1.0": ImageBehaviour(exits_after=21.7, exit_code=1)}, minutes=67),
    "k1_agent_graceful": Scenario(
        {
            HUB: ImageBehaviour(sigterm_code=0),
            "reg.io/m1:1.0": ImageBehaviour(sigterm_code=0),
            "reg.io/m2:1.0": ImageBehaviour(sigterm_code=None),
        },
        (("08:10:04", EdgeAgent.shut_down), ("08:12:17", EdgeAgent.start)),
        joined=(7,),
    ),
    "k2_agent_killed": Scenario(troubles=(("08:10:04", EdgeAgent.kill), ("08:12:04", EdgeAgent.start))),
    "l_runtime_unreachable": Scenario(
        troubles=(("08:10:03", listing(HTTPStatus.INTERNAL_SERVER_ERROR)), ("08:15", listing(None)))
    ),
    "l3_unknown_container_state": Scenario(troubles=(("08:10:03", unreadable("m1")), ("08:15:03", unreadable()))),
    "m_wait_for_all_pulls": Scenario({"reg.io/m2:1.1": NOT_THERE}, pulls_first=True),
    "n_module_removed": Scenario(),
    "o_identity_error": Scenario(
        troubles=(("08:10", identities(HTTPStatus.INTERNAL_SERVER_ERROR)), ("08:40", identities(None)))
    ),
    "q_create_fails": Scenario({"reg.io/m1:1.1": ImageBehaviour(create_error=HTTPStatus.BAD_REQUEST)}),
    "r_startup_order": Scenario({"reg.io/m1:1.0": ImageBehaviour(pull_seconds=200)}),
    "s_oom_every_20min": Scenario({"reg.io/m1:1.1": ImageBehaviour(exits_after=1201, exit_code=137)}, minutes=190),
    "t_crash_loop_fixed": Scenario({"reg.io/m1:1.1": CRASHES}),
    "u_agent_update": Scenario(),
    "v_long_pull": Scenario({"reg.io/m1:1.1": ImageBehaviour(pull_seconds=720)}),
    "x_two_of_three_bad": Scenario({"reg.io/badpull:1.0": NOT_THERE, "reg.io/badcrash:1.0": CRASHES}, minutes=50),
    "y_env_change_only": Scenario(),
}


def at(time: str) -> datetime:
    return datetime.fromisoformat(f"{DAY}T{time}Z")


class Hub:
    """A hub with one connected device, that keeps what follows from each report, once in a row.

    Attributes:
        sections: The reported section, without what is chance or belongs to the version of the agent.
        verdicts: State and reason of the device, and of its modules.
    """

    def __init__(self) -> None:
        self.sections: list[Any] = []
        self.verdicts: list[Verdict] = []
        self.registry = Registry(lambda: at("08:00"), lambda _change: self._keep())
        self.registry.create("dev1")
        self.registry.set_connected("dev1", connected=True)

    def _keep(self) -> None:
        twin = self.registry.get("dev1")
        assert twin is not None
        section = comparable(twin["properties"]["reported"])
        if self.sections[-1:] != [section]:
            self.sections.append(section)
        status = evaluate(twin)
        modules = {name: (str(module.state), str(module.reason)) for name, module in status.modules.items()}
        verdict = str(status.state), str(status.reason), modules
        if self.verdicts[-1:] != [verdict]:
            self.verdicts.append(verdict)


def comparable(value: Any) -> Any:
    if isinstance(value, Mapping):
        left_out = {"build", "commit", "imageHash", "$metadata", "$version"}
        if value.keys() & {"build", "os"}:
            left_out.add("version")  # of the agent, or of edged
        return {key: comparable(inner) for key, inner in value.items() if key not in left_out}
    if isinstance(value, str):
        happened = re.sub(r"^(?!0001)\d{4}-\d\d-\d\dT[\d:.]+Z$", "some time", value)
        parent = happened.replace("parent1:", "parent.example.com:")
        return re.sub(r"Timeout of \d+ seconds", "Timeout", parent)  # the real agent's clock was a virtual one
    return value


def trace(name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (TRACES / f"{name}.jsonl").read_text().splitlines()]
    return [{**line, "at": datetime.fromisoformat(line["at"])} for line in lines]


@cache
def real(name: str) -> Hub:
    hub = Hub()
    for line in trace(name):
        if "desired" in line:
            hub.registry.apply_desired("dev1", line["desired"], at=line["at"])
        else:
            hub.registry.patch_reported("dev1", line["reported"], at=line["at"])
    hub.sections = [section for place, section in enumerate(hub.sections) if place not in SCENARIOS[name].joined]
    return hub


@cache
def simulated(name: str) -> Hub:
    hub, scenario = Hub(), SCENARIOS[name]
    agent = EdgeAgent(hub.registry, "dev1", ContainerRuntime(scenario.images), pulls_first=scenario.pulls_first)
    steps: list[tuple[datetime, Trouble]] = [(at(time), trouble) for time, trouble in scenario.troubles]
    steps += [(line["at"], deployment(hub, line["desired"])) for line in trace(name) if "desired" in line]
    agent.start(at(scenario.on_at))
    for time, step in sorted(steps, key=lambda entry: entry[0]):
        agent.step(time)
        step(agent, time)
    agent.step(at("08:00") + timedelta(minutes=scenario.minutes))
    return hub


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_simulated_agent_writes_what_the_real_one_wrote(name: str) -> None:
    assert simulated(name).sections == real(name).sections


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_simulated_agent_is_judged_as_the_real_one_is(name: str) -> None:
    assert simulated(name).verdicts == real(name).verdicts


def test_every_trace_is_played() -> None:
    assert {path.stem for path in TRACES.glob("*.jsonl")} == set(SCENARIOS)
