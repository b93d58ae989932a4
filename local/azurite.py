"""Azurite's table service, from the project's npm packages, on a free port of this machine."""

import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PROGRAM: Final = Path(__file__).parents[1] / "node_modules/.bin/azurite-table"
ACCOUNT: Final = "devstoreaccount1"
# Azurite's published development key: it only works for Azurite.
KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_OPTIONS: Final = ("--skipApiVersionCheck", "--silent", "--disableTelemetry")
_START_SECONDS: Final = 60
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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = ["--location", str(folder)] if folder is not None else ["--inMemoryPersistence"]
    secure = [] if certificate is None else ["--cert", *certificate[:1], "--key", *certificate[1:], "--oauth", "basic"]
    command = [str(PROGRAM), "--tablePort", str(port), *place, *map(str, secure), *_OPTIONS]
    with (
        tempfile.TemporaryDirectory() as work,
        subprocess.Popen(  # noqa: S603 (a fixed command)
            command,
            cwd=work,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as azurite,
    ):
        try:
            _wait_for_start(azurite)
            scheme = "http" if certificate is None else "https"
            endpoint = f"{scheme}://127.0.0.1:{port}/{ACCOUNT}"
            yield f"DefaultEndpointsProtocol={scheme};AccountName={ACCOUNT};AccountKey={KEY};TableEndpoint={endpoint};"
        finally:
            azurite.terminate()


def _wait_for_start(azurite: subprocess.Popen[str]) -> None:
    end = threading.Timer(_START_SECONDS, azurite.kill)  # killing it ends its output
    end.start()
    printed = []
    try:
        for line in azurite.stdout or ():
            printed.append(line)
            if "successfully started" in line:
                return
    finally:
        end.cancel()
    raise AzuriteError("Azurite did not start: " + "".join(printed))
