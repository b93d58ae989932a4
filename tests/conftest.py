"""Azurite, the real table service of the tests: started once, on a free port, stopped at the end."""

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ACCOUNT = "devstoreaccount1"
# Azurite's published development key: it opens nothing but an Azurite.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture(scope="session")
def tables() -> Iterator[str]:
    """The connection string of a running Azurite table service."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = str(ROOT / "node_modules/.bin/azurite-table")
    command = [program, "--tablePort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(  # noqa: S603 (a fixed command)
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as azurite,
    ):
        assert azurite.stdout is not None
        printed = []
        for line in azurite.stdout:
            printed.append(line)
            if "successfully started" in line:
                break
        else:
            pytest.fail("Azurite did not start: " + "".join(printed))
        endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
        yield f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};TableEndpoint={endpoint};"
        azurite.terminate()
