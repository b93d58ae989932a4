"""The outcome of a wait in Markdown: the summary that a pipeline shows with its log."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from status_app.commands.exit_codes import ExitCode
from status_app.commands.fleet_status import Answer, FleetLists, RefusedError
from status_app.commands.terminal import printable
from status_app.errors import UnavailableError

MOST_CAUSES: Final = 20
"""Causes shown per deployment. The summary says if there are more."""
_MOST_LINES: Final = 40
_LONGEST: Final = 300
_HEADINGS: Final[Mapping[ExitCode, str]] = {
    ExitCode.OK: "has succeeded",
    ExitCode.FAILED: "has failed",
    ExitCode.TIMED_OUT: "has timed out",
}
_MARKUP: Final = re.compile(r"[\\`*_{}\[\]()#+!|<>~&@]")


def summary(
    deployments: Sequence[str],
    code: ExitCode,
    printed: Sequence[str],
    causes: Mapping[str, Sequence[Mapping[str, Any]]],
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
            lines += ["", "There are more causes: edge-status causes lists all of them."]
    return "\n".join([*lines, ""])


async def summary_of(  # noqa: PLR0913 (two of them keyword-only)
    fleet: FleetLists,
    deployments: Sequence[str],
    code: ExitCode,
    printed: Sequence[str],
    *,
    device: str | None = None,
    cohort: str | None = None,
) -> str:
    """Write a summary with the present causes, or without them if they cannot be read any more.

    Args:
        fleet: The source.
        deployments: What was waited for.
        code: The outcome.
        printed: The last lines that the wait printed.
        device: The device, if the wait was for one device.
        cohort: The cohort, if the wait was for one.
    """
    filters = {} if cohort is None else {"cohort": cohort}
    causes: dict[str, Sequence[Answer]] = {}
    try:
        for deployment in deployments:
            causes[deployment] = await _first(
                fleet.items("causes", {"deployment": deployment, **filters}, MOST_CAUSES + 1)
            )
    except (UnavailableError, RefusedError) as error:  # the decision holds
        printed = [*printed, f"the causes cannot be read: {error}"]
    return summary(deployments or [f"of device {device}"], code, printed, causes)


async def _first(causes: AsyncIterator[Answer]) -> list[Answer]:
    """Return as many causes as a summary shows, plus one if there are more: a fleet can have thousands."""
    found: list[Answer] = []
    async for cause in causes:
        found.append(cause)
        if len(found) > MOST_CAUSES:
            break
    return found


def write_summary(path: Path, text: str) -> None:
    """Append a summary to a file, as GitHub's job summary needs it.

    Raises:
        OSError: The file cannot be written.
    """
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


def _row(cause: Mapping[str, Any]) -> str:
    examples = ", ".join(example["deviceId"] for example in cause["examples"])
    cells = (str(cause["devices"]), str(cause["stuck"]), cause["cause"], examples, cause["advice"] or "")
    return f"| {' | '.join(map(_text, cells))} |"


def _text(words: str) -> str:
    """Escape words so that Markdown shows them as they are."""
    shown = printable(words)
    shown = shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", shown)
