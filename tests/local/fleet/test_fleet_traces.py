"""The simulated edgeAgent beside the real one: both went through the same scenarios, and are judged alike.

`traces/*.jsonl` are what edgeAgent 1.6.1 wrote when its own code was driven through a scenario; IoT Hub, edged and Docker
were simulated at their sockets. A line is a change of the twin: what was desired from then on, whole, or what the agent
reported, as a patch. Each test gives the simulated agent the same wishes at the same times and the same trouble, and
compares what the twin is judged to be after each change, once in a row.

What still differs, and is in no state:

- Times. Here a call to edged takes no time where nothing is pulled or stopped, and the waits between its attempts are
  always the same. So reports come some seconds earlier, and a loop of crashes has its restarts at other seconds.
- Modules of the same startup order are made in the order of their names; to the agent that order is chance.
- Exit codes of modules that are told to stop: here all of a device heed SIGTERM, or as the image says.
- A pull that outlasts its call goes on by itself here. There it went on with the next attempt only (v_long_pull).
- The agent reports the version of its own image. Here it is always the same.
- Not played: an agent that cannot read its own report and writes it anew, older agents with their words and faults
  (times without Z, time-outs after 100 seconds, reports that are lost), and an offline check before a report.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
    minutes: int = 60


def listing(error: HTTPStatus | None) -> Trouble:
    return lambda agent, _now: setattr(agent.runtime, "list_error", error)


def identities(error: HTTPStatus | None) -> Trouble:
    return lambda agent, _now: setattr(agent.runtime, "identity_error", error)


def unreadable(*names: str) -> Trouble:
    return lambda agent, _now: setattr(agent.runtime, "unreadable", set(names))


def image(name: str, behaviour: ImageBehaviour) -> Trouble:
    return lambda agent, _now: agent.runtime.images.update({name: behaviour})


def start(agent: EdgeAgent, now: datetime) -> None:
    agent.start(now)


CRASHES = ImageBehaviour(exits_after=3, exit_code=1)
NOT_THERE = ImageBehaviour(pull_error=HTTPStatus.NOT_FOUND)
REGISTRY_DOWN = ImageBehaviour(pull_seconds=1, pull_error=HTTPStatus.INTERNAL_SERVER_ERROR)

SCENARIOS = {
    "a_first_deployment": Scenario(),
    "b_image_update": Scenario({"reg.io/m1:1.1": ImageBehaviour(pull_seconds=60)}),
    "bb_images": Scenario(),
    "c_pull_not_found": Scenario({"reg.io/m1:1.1": NOT_THERE}),
    "c2_registry_down": Scenario(
        {"reg.io/m1:1.1": REGISTRY_DOWN}, (("08:25", image("reg.io/m1:1.1", ImageBehaviour())),)
    ),
    "d_crash_loop_3s": Scenario({"reg.io/m1:1.1": CRASHES}),
    "d2_crash_loop_3s_3h": Scenario({"reg.io/m1:1.1": CRASHES}, minutes=180),
    "e_crash_every_5min": Scenario({"reg.io/m1:1.1": ImageBehaviour(exits_after=297, exit_code=1)}, minutes=187),
    "f_one_crash": Scenario(
        {"reg.io/m1:1.1": ImageBehaviour(exits_after=122, exit_code=1)},
        (("08:12:13", image("reg.io/m1:1.1", ImageBehaviour())),),
    ),
    "g_stopped": Scenario({"reg.io/m1:1.0": ImageBehaviour(heeds_sigterm=False)}),
    "h_bad_manifests": Scenario(),
    "h2_bad_first_manifest": Scenario(),
    "h5_crash_under_bad_manifest": Scenario({"reg.io/m1:1.0": ImageBehaviour(exits_after=674, exit_code=1)}),
    "i1_never_exit1": Scenario({"reg.io/job:1.0": ImageBehaviour(exits_after=21.7, exit_code=1)}),
    "i4_onfailure_exit1": Scenario({"reg.io/job:1.0": ImageBehaviour(exits_after=21.7, exit_code=1)}, minutes=67),
    "k1_agent_graceful": Scenario(troubles=(("08:10:04", EdgeAgent.shut_down), ("08:12:17", start))),
    "k2_agent_killed": Scenario(troubles=(("08:10:04", EdgeAgent.kill), ("08:12:04", start))),
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
    """A hub with one connected device, that keeps what the device was judged to be after each change."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []
        self.registry = Registry(lambda: at("08:00"), lambda _change: self._judge())
        self.registry.create("dev1")
        self.registry.set_connected("dev1", connected=True)

    def _judge(self) -> None:
        status = evaluate(self.registry.get("dev1"))
        modules = {name: (str(module.state), str(module.reason)) for name, module in status.modules.items()}
        verdict = str(status.state), str(status.reason), modules
        if self.verdicts[-1:] != [verdict]:
            self.verdicts.append(verdict)


def trace(name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (TRACES / f"{name}.jsonl").read_text().splitlines()]
    return [{**line, "at": datetime.fromisoformat(line["at"])} for line in lines]


def real(name: str) -> list[Verdict]:
    hub = Hub()
    for line in trace(name):
        if "desired" in line:
            hub.registry.apply_desired("dev1", line["desired"], at=line["at"])
        else:
            hub.registry.patch_reported("dev1", line["reported"], at=line["at"])
    return hub.verdicts


def simulated(name: str) -> list[Verdict]:
    hub, scenario = Hub(), SCENARIOS[name]
    runtime = ContainerRuntime(scenario.images)
    agent = EdgeAgent(hub.registry, "dev1", runtime, pulls_first=scenario.pulls_first)
    steps: list[tuple[datetime, Trouble]] = [(at(time), trouble) for time, trouble in scenario.troubles]
    for line in trace(name):
        if "desired" in line:
            content = line["desired"]
            steps.append((line["at"], lambda _agent, now, content=content: deploy(hub, content, now)))
    agent.start(at("08:00"))
    for time, step in sorted(steps, key=lambda entry: entry[0]):
        agent.step(time)
        step(agent, time)
    agent.step(at("08:00") + timedelta(minutes=scenario.minutes))
    return hub.verdicts


def deploy(hub: Hub, content: Mapping[str, Any], now: datetime) -> None:
    hub.registry.apply_desired("dev1", content, at=now)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_simulated_agent_is_judged_as_the_real_one_is(name: str) -> None:
    assert simulated(name) == real(name)


def test_every_trace_is_played() -> None:
    assert {path.stem for path in TRACES.glob("*.jsonl")} == set(SCENARIOS)
