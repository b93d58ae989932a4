"""The demo as a process."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def start(folder: Path, *arguments: str, cwd: Path = ROOT) -> subprocess.Popen[str]:
    """Starts the demo; its temporary files are in the folder."""
    return subprocess.Popen(  # noqa: S603 (a fixed command)
        [sys.executable, "-m", "local", "demo", *arguments],
        cwd=cwd,
        env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def page_of(process: subprocess.Popen[str]) -> str:
    """The address of the page, with its key: it is in the second line."""
    assert process.stdout is not None
    lines = [*itertools.islice(process.stdout, 2)]
    (page,) = (re.findall(r"http:\S+", line)[0] for line in lines if line.startswith("The page"))
    return str(page)
