"""Azurite's table service, from the project's npm packages, on a free port of this machine."""

import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

PROGRAM: Final = Path(__file__).parents[1] / "node_modules/.bin/azurite-table"
ACCOUNT: Final = "devstoreaccount1"
# Azurite's published development key: it only works for Azurite.
KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_OPTIONS: Final = ("--skipApiVersionCheck", "--silent", "--disableTelemetry")
_STARTED: Final = "successfully started"
_START_SECONDS: Final = 300
_PORTS: Final = 5
"""Ports that are tried: another program may take a free one before Azurite does."""
_ACCOUNTS: Final = 1000


class AzuriteError(Exception):
    """Azurite did not start. The message is Azurite's output, or how to install it."""


@contextmanager
def azurite_accounts() -> Iterator[Iterator[str]]:
    """Run an in-memory table service; yield connection strings of accounts that have no tables yet.

    Starting Azurite takes a second of CPU, an account costs nothing. So many tests can share one.

    Raises:
        AzuriteError: Azurite is not installed, or does not start.
    """
    names = [f"account{number}" for number in range(_ACCOUNTS)]
    with _azurite({"AZURITE_ACCOUNTS": ";".join(f"{name}:{KEY}" for name in names)}) as tables:
        yield (tables.replace(ACCOUNT, name) for name in names)


@contextmanager
def azurite_tables(folder: Path | None = None, *, certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    """Run a table service; yield its connection string.

    Args:
        folder: Folder of its database. None keeps it in memory.
        certificate: Files of a certificate and its key. With them it speaks HTTPS and also accepts tokens: any with the
            right audience that have not expired.

    Raises:
        AzuriteError: Azurite is not installed, or does not start.
    """
    with _azurite({}, folder, certificate) as tables:
        yield tables


@contextmanager
def _azurite(
    environment: Mapping[str, str], folder: Path | None = None, certificate: tuple[Path, Path] | None = None
) -> Iterator[str]:
    if not PROGRAM.exists():
        raise AzuriteError("Azurite is missing: run `npm ci`")
    place = ["--location", str(folder)] if folder is not None else ["--inMemoryPersistence"]
    secure = [] if certificate is None else ["--cert", *certificate[:1], "--key", *certificate[1:], "--oauth", "basic"]
    with tempfile.TemporaryDirectory() as work, ExitStack() as running:
        port = _start(running, [*place, *map(str, secure), *_OPTIONS], {**os.environ, **environment}, work)
        scheme = "http" if certificate is None else "https"
        endpoint = f"{scheme}://127.0.0.1:{port}/{ACCOUNT}"
        yield f"DefaultEndpointsProtocol={scheme};AccountName={ACCOUNT};AccountKey={KEY};TableEndpoint={endpoint};"


def _start(running: ExitStack, options: Sequence[str], environment: Mapping[str, str], work: str) -> int:
    """Start Azurite, and return its port. If another program takes a port first, try the next one."""
    printed = ""
    for port in islice(_free_ports(), _PORTS):
        command = [str(PROGRAM), "--tablePort", str(port), *options]
        azurite = running.enter_context(_process(command, environment, work))
        printed = _printed_at_start(azurite)
        if _STARTED in printed:
            return port
        if "EADDRINUSE" not in printed:
            break
    raise AzuriteError(f"Azurite did not start: {printed}")


def _printed_at_start(azurite: subprocess.Popen[str]) -> str:
    """Return what Azurite prints until it has started or ended."""
    end = threading.Timer(_START_SECONDS, azurite.kill)  # killing it ends its output
    end.start()
    printed = ""
    try:
        for line in azurite.stdout or ():
            printed += line
            if _STARTED in line:
                break
    finally:
        end.cancel()
    return printed


@contextmanager
def _process(command: Sequence[str], environment: Mapping[str, str], work: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(  # noqa: S603 (a fixed command)
        command, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def _free_ports() -> Iterator[int]:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        yield port
