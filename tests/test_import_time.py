"""A cold start loads few libraries before the first invocation: what is slow to load waits for its first use."""

import json
import subprocess
import sys
from pathlib import Path

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
"""Prints the modules that loading the app brings in, without those that compiled modules make up."""
ALLOWED = {
    "azure.functions": ("markupsafe", "werkzeug"),
    "azure.data": ("azure.core", "isodate", "typing_extensions"),
    "aiohttp": ("aiohappyeyeballs", "aiosignal", "attr", "frozenlist", "idna", "multidict", "propcache", "yarl"),
}
"""What the app may load, and what each brings along: not the clients of IoT Hub and Event Hubs, nor the exporter."""


def test_loading_the_app_loads_its_triggers_its_tables_and_nothing_that_is_not_allowed() -> None:
    command = [sys.executable, "-c", LOAD]
    result = subprocess.run(command, cwd=ROOT, env=SETTINGS | METRICS, capture_output=True, text=True, check=True)  # noqa: S603 (a fixed command)
    loaded: list[str] = json.loads(result.stdout)
    assert {"azure.functions", "azure.data.tables.aio", "aiohttp"} <= set(loaded)
    own = {"function_app", "status_app", "status_core"}
    allowed = own | ALLOWED.keys() | {name for names in ALLOWED.values() for name in names}
    libraries = {name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names | {"azure"}}
    parts_of_azure = {".".join(name.split(".")[:2]) for name in loaded if name.startswith("azure.")}
    assert {name.partition(".")[0] for name in libraries} | parts_of_azure <= allowed
