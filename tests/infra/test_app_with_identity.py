"""The app starts with exactly the settings that Bicep gives it, and does its work with tokens alone."""

import json
import os
import random
import socket
import subprocess
import sys
from pathlib import Path

from local.certificates import NAMES, issue_certificates
from status_app.telemetry.meters import DEAD_LETTERS, METRICS

ROOT = Path(__file__).parents[2]
PORT = 5671
"""Where the SDK for Event Hubs goes with an identity, whatever the address."""


def loopback_address() -> str:
    """An address of this machine at which the port is free: there are millions on Linux, and one elsewhere."""
    octets = ".".join(str(random.randint(2, 254)) for _ in range(3))  # noqa: S311 (any will do)
    with socket.socket() as probe:
        try:
            probe.bind((f"127.{octets}", PORT))
        except OSError:
            return "127.0.0.1"
    return f"127.{octets}"


def test_a_twin_change_becomes_rows_and_events_without_a_key(tmp_path: Path) -> None:
    address = loopback_address()
    certificates = issue_certificates(tmp_path, [*NAMES, address])
    certificates.write_server(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SSL_CERT_FILE": str(certificates.ca_file)}
    command = [sys.executable, "tests/infra/app_with_identity.py", str(tmp_path), address]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 (a fixed command)
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["failed"] == []
    assert answer["rows"]["device"] == "module_failed"
    assert answer["events"] > 0
    # What tokens were asked for: of the hub's and the tables' stand-ins, each takes its own only.
    assert answer["audiences"] == [
        "https://eventhubs.azure.net/",
        "https://iothubs.azure.net",
        "https://monitor.azure.com/",
        "https://storage.azure.com",
    ]
    # Every metric arrives but that of dead letters, of which there are none; and no secret of a twin does.
    assert set(answer["metrics"]) == {metric.name for metric in METRICS} - {DEAD_LETTERS.name}
    for metric in METRICS:
        for sent in answer["metrics"].get(metric.name, []):
            assert set(sent["properties"]) == set(metric.attributes)
    assert answer["telemetry refused"] == []
    assert "hunter2" not in answer["telemetry"]
