"""The demo as a process."""

import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


@contextmanager
def start(folder: Path, *arguments: str, cwd: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """Starts the demo, waits for its end, and kills it where the test fails; its temporary files are in the folder."""
    with subprocess.Popen(  # noqa: S603 (a fixed command)
        [sys.executable, "-m", "local", "demo", *arguments],
        cwd=cwd,
        env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def page_of(process: subprocess.Popen[str]) -> str:
    """The address of the page, with its key: it is in the second line."""
    assert process.stdout is not None
    lines = [*itertools.islice(process.stdout, 2)]
    (page,) = (re.findall(r"http:\S+", line)[0] for line in lines if line.startswith("The page"))
    return str(page)
