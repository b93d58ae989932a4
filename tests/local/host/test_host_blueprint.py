"""The project's own app in the worker library: its triggers and the Blueprint of its routes, load after load."""

import json
from pathlib import Path

import pytest

from benchmarks.cold_start import SETTINGS
from local.host.worker import Worker

ROOT = Path(__file__).parents[3]
TRIGGERS = {"on_twin_changes": "eventHubTrigger", "flag_stuck": "timerTrigger", "resync": "timerTrigger"}
ROUTES = {
    "devices": ("devices", "FUNCTION"),
    "device": ("devices/{deviceId}", "FUNCTION"),
    "transitions": ("devices/{deviceId}/transitions", "FUNCTION"),
    "modules": ("modules", "FUNCTION"),
    "causes": ("causes", "FUNCTION"),
    "cause_devices": ("causes/{causeId}/devices", "FUNCTION"),
    "images": ("images", "FUNCTION"),
    "agents": ("agents", "FUNCTION"),
    "deployments": ("deployments", "FUNCTION"),
    "deployment": ("deployments/{deploymentId}", "FUNCTION"),
    "progress": ("deployments/{deploymentId}/progress", "FUNCTION"),
    "disagreements": ("deployments/{deploymentId}/disagreements", "FUNCTION"),
    "health": ("health", "ANONYMOUS"),
    "metrics": ("metrics", "FUNCTION"),
    "health_details": ("health/details", "FUNCTION"),
    "fleet": ("fleet", "ANONYMOUS"),
}


async def loaded() -> dict[str, dict[str, object]]:
    """The trigger of each function, as a worker that starts now finds it."""
    worker = Worker()
    functions = await worker.start(ROOT)
    worker.stop()
    bindings = {function.name: map(json.loads, function.raw_bindings) for function in functions}
    return {name: next(one for one in all_ if "rigger" in one["type"]) for name, all_ in bindings.items()}


async def test_each_load_of_the_app_finds_every_trigger_and_every_route(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        found = await loaded()
        assert {name: trigger["type"] for name, trigger in found.items() if name not in ROUTES} == TRIGGERS
        routes = {
            name: (trigger["route"], trigger["authLevel"]) for name, trigger in found.items() if "route" in trigger
        }
        assert routes == ROUTES
