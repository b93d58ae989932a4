"""The outcome of a wait in Markdown: the summary that a pipeline shows with its log."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from status_app.commands.exit_codes import ExitCode
from status_app.commands.fleet_status import Answer
from status_app.commands.gate.snapshot import MORE_CAUSES, MOST_CAUSES
from status_app.commands.terminal import printable

_MOST_LINES: Final = 40
_LONGEST: Final = 300
_HEADINGS: Final[Mapping[ExitCode, str]] = {
    ExitCode.OK: "has succeeded",
    ExitCode.FAILED: "has failed",
    ExitCode.TIMED_OUT: "has timed out",
}
_MARKUP: Final = re.compile(r"[\\`*_{}\[\]()#+!|<>~&@]")


def summary(
    deployments: Sequence[str], code: ExitCode, printed: Sequence[str], causes: Mapping[str, Sequence[Answer]]
) -> str:
    """Write a summary in Markdown. Words from devices are escaped.

    Args:
        deployments: What was waited for.
        code: The outcome.
        printed: The last lines that the wait printed.
        causes: The causes of each deployment as the API returns them, most devices first.
    """
    names = ", ".join(map(_text, deployments))
    lines = [f"## Deployment {names} {_HEADINGS.get(code, 'could not be judged')}", ""]
    lines += [f"    {printable(line)[:_LONGEST]}" for line in printed[-_MOST_LINES:]]
    for deployment in deployments:
        found = causes.get(deployment, ())
        if found:
            lines += ["", f"### Why devices of {_text(deployment)} fail", ""]
            lines += ["| devices | stuck | cause | for instance | what to do |", "|---:|---:|---|---|---|"]
            lines += map(_row, found[:MOST_CAUSES])
        if len(found) > MOST_CAUSES:
            lines += ["", MORE_CAUSES]
    return "\n".join([*lines, ""])


def write_summary(path: Path, text: str) -> None:
    """Append a summary to a file, as GitHub's job summary needs it.

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
    """Escape words so that Markdown shows them as they are."""
    shown = printable(words)
    shown = shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", shown)
