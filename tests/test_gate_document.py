"""docs/gate.md is right: its options, its exit codes and its steps are those of the commands."""

import argparse
import re
import shlex
from pathlib import Path

from status_app.commands.exit_codes import ExitCode
from status_app.commands.gate.lines import NAMED_DEVICES
from status_app.commands.parser import parser

PAGE = (Path(__file__).parents[1] / "docs/gate.md").read_text()


def options_of(command: str) -> dict[str, str | None]:
    """The options of a command with their defaults."""
    commands = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001 (argparse has them nowhere else)
    actions = commands.choices[command]._actions  # noqa: SLF001 (as above)
    return {
        action.option_strings[0]: str(action.default)
        if isinstance(action.default, (str, int)) and action.default is not False
        else None
        for action in actions
        if action.option_strings and action.dest != "help"
    }


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines][1:]


def test_the_options_of_wait_are_listed_with_their_defaults() -> None:
    listed = {name: cells[2].strip("`") or None for cells in rows("wait") for name in re.findall(r"--[\w-]+", cells[0])}
    assert listed == options_of("wait")


def test_every_exit_code_is_listed_and_no_other() -> None:
    assert [int(cells[0]) for cells in rows("Exit codes")] == [code.value for code in ExitCode]


def test_the_number_of_devices_that_are_named_is_the_one_of_the_code() -> None:
    assert NAMED_DEVICES == 20
    assert "lists up to twenty devices" in PAGE.replace("\n", " ")


def test_the_step_of_a_pipeline_has_arguments_that_the_command_takes() -> None:
    (step,) = re.findall(r"^    python -m status_app (wait --deployment release-42 .*)$", PAGE, re.MULTILINE)
    assert parser().parse_args(shlex.split(step)).command == "wait"


def test_the_commands_of_the_page_have_options_that_exist() -> None:
    found = re.findall(r"^    python -m status_app (\w+) (.*)$", PAGE, re.MULTILINE)
    assert {command for command, _ in found} == {"wait", "explain"}
    for command, arguments in found:
        assert set(re.findall(r"--[\w-]+", arguments)) <= set(options_of(command))
