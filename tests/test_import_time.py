"""What a cold start pays for: the libraries that are loaded before the first invocation, counted and not timed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.cold_start import SETTINGS

ROOT = Path(__file__).parents[1]
METRICS = {
    "TELEMETRY": "azure-monitor",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=00000000-0000-0000-0000-000000000000",
}
LOAD = """
import json, sys
before = set(sys.modules)
import function_app
print(json.dumps(sorted(name for name in set(sys.modules) - before if sys.modules[name].__spec__)))
"""
ALLOWED = {
    "azure.functions": ("markupsafe", "werkzeug"),
    "azure.data": ("azure.core", "isodate", "typing_extensions"),
    "aiohttp": ("aiohappyeyeballs", "aiosignal", "attr", "frozenlist", "idna", "multidict", "propcache", "yarl"),
}
"""What the app may load, and what each brings along."""


@pytest.fixture(scope="module")
def loaded() -> list[str]:
    """The modules that loading the app brings in, without those that compiled modules make up."""
    command = [sys.executable, "-c", LOAD]
    result = subprocess.run(command, cwd=ROOT, env=SETTINGS | METRICS, capture_output=True, text=True, check=True)  # noqa: S603 (a fixed command)
    names: list[str] = json.loads(result.stdout)
    return names


def test_loading_the_app_loads_its_triggers_its_tables_and_nothing_that_is_not_allowed(loaded: list[str]) -> None:
    assert {"azure.functions", "azure.data.tables.aio", "aiohttp"} <= set(loaded)
    own = {"function_app", "status_app", "status_core"}
    allowed = own | ALLOWED.keys() | {name for names in ALLOWED.values() for name in names}
    libraries = {name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names | {"azure"}}
    parts_of_azure = {".".join(name.split(".")[:2]) for name in loaded if name.startswith("azure.")}
    assert {name.partition(".")[0] for name in libraries} | parts_of_azure <= allowed


@pytest.mark.parametrize(
    "name",
    [
        "azure.iot.hub",
        "azure.identity",
        "azure.eventhub",
        "uamqp",
        "msrest",
        "requests",
        "cryptography",
        "msal",
        "opentelemetry",
        "azure.monitor",
        "psutil",
    ],
)
def test_what_is_slow_to_load_waits_for_the_first_use(loaded: list[str], name: str) -> None:
    assert name not in loaded
