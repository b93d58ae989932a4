"""What a wait came to, in Markdown: the summary that a pipeline shows beside its log."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from status_app.commands.exit_codes import ExitCode
from status_app.commands.fleet_status import Answer
from status_app.commands.gate.look import MOST_CAUSES
from status_app.commands.terminal import printed

_MOST_LINES: Final = 40
_LONGEST: Final = 300
_HEADINGS: Final[Mapping[ExitCode, str]] = {
    ExitCode.OK: "has come through",
    ExitCode.FAILED: "has failed",
    ExitCode.TIMED_OUT: "is not done in time",
}
_MARKUP: Final = re.compile(r"[\\`*_{}\[\]()#+!|<>~&@]")


def summary(
    deployments: Sequence[str], code: ExitCode, said: Sequence[str], causes: Mapping[str, Sequence[Answer]]
) -> str:
    """A summary in Markdown. Words of devices are text in it, and nothing else.

    Args:
        deployments: What was waited for.
        code: How the wait ended.
        said: The last lines that it printed.
        causes: Of each deployment its causes, as the API answers them, those with the most devices first.
    """
    names = ", ".join(map(_text, deployments))
    lines = [f"## Deployment {names} {_HEADINGS.get(code, 'could not be judged')}", ""]
    lines += [f"    {printed(line)[:_LONGEST]}" for line in said[-_MOST_LINES:]]
    for deployment in deployments:
        found = causes.get(deployment, ())
        if found:
            lines += ["", f"### Why devices of {_text(deployment)} fail", ""]
            lines += ["| devices | stuck | cause | for instance | what to do |", "|---:|---:|---|---|---|"]
            lines += map(_row, found[:MOST_CAUSES])
        if len(found) > MOST_CAUSES:
            lines += ["", "There are more causes: edge-status causes lists all of them."]
    return "\n".join([*lines, ""])


def write_summary(path: Path, text: str) -> None:
    """Append a summary to a file, as the job summary of GitHub takes it.

    Raises:
        OSError: The file cannot be written.
    """
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


def _row(cause: Answer) -> str:
    examples = ", ".join(example["deviceId"] for example in cause["examples"])
    cells = (str(cause["devices"]), str(cause["stuck"]), cause["cause"], examples, cause["advice"] or "")
    return f"| {' | '.join(map(_text, cells))} |"


def _text(words: str) -> str:
    """Words that Markdown shows as they stand."""
    shown = printed(words)
    shown = shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", shown)
