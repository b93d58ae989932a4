"""The real exporter, over sockets: nothing waits for an endpoint that does not answer."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from status_app.telemetry import exporter, meters
from status_app.telemetry.exporter import azure_monitor

ROOT = Path(__file__).parents[2]
KEY = "00000000-0000-0000-0000-000000000000"
END = """
import asyncio, os
from status_app.services import Services
from status_app.settings import Settings
from status_app.telemetry import exporter, meters
exporter.CLOSING = 0.1
services = Services(Settings.read(os.environ))
assert meters.is_heard()
meters.record(meters.LAG, 1.5)
{close}
print("the end")
"""


@pytest.fixture
def silent() -> socket.socket:
    """A listening socket that takes connections and never answers."""
    return socket.create_server(("127.0.0.1", 0))


@pytest.mark.parametrize("close", ["asyncio.run(services.close())", ""], ids=["closed", "not closed"])
def test_an_endpoint_that_never_answers_does_not_keep_the_app_from_ending(silent: socket.socket, close: str) -> None:
    environment = {
        "STATUS_TABLES": "https://account.table.core.windows.net",
        "IOT_HUB": "hub1.azure-devices.net",
        "TELEMETRY": "azure-monitor",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": (
            f"InstrumentationKey={KEY};IngestionEndpoint=http://127.0.0.1:{silent.getsockname()[1]}/"
        ),
    }
    command = [sys.executable, "-c", END.format(close=close)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 (a fixed command)
    silent.close()
    assert (result.returncode, result.stdout) == (0, "the end\n"), result.stderr
    assert "Traceback" not in result.stderr


def test_with_a_wrong_connection_string_no_metrics_are_sent_and_it_is_not_quoted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("APPLICATIONINSIGHTS_CONNECTION_STRING", "hunter2")
    assert azure_monitor() is None
    assert not meters.is_heard()
    assert "no metrics are sent: ValueError" in caplog.text
    assert "hunter2" not in caplog.text


def test_it_reports_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in exporter._SWITCHES:  # noqa: SLF001 (set for this test alone)
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("APPLICATIONINSIGHTS_CONNECTION_STRING", "hunter2")
    azure_monitor()
    from azure.monitor.opentelemetry.exporter._configuration._state import get_configuration_manager  # noqa: PLC0415 (as it asks itself)
    from azure.monitor.opentelemetry.exporter.statsbeat._state import is_statsbeat_enabled  # noqa: PLC0415 (as above)
    from azure.monitor.opentelemetry.exporter.statsbeat.customer._utils import is_customer_sdkstats_enabled  # noqa: PLC0415 (as above)

    assert get_configuration_manager() is None
    assert not is_statsbeat_enabled()  # type: ignore[no-untyped-call] # it has no types
    assert not is_customer_sdkstats_enabled()
