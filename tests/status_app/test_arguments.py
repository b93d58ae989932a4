"""Wrong arguments, wrong settings and bugs: their exit codes never decide a pipeline."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from status_app.command_line import main
from status_app.commands.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]
SECRET = "hunter2-correct-horse"
type Output = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["wiat"],
        ["wait", "--deployment"],
        ["wait", "--deployment", "d", "--timeout", "30"],
        ["wait", "--deployment", "d", "--interval", "PT0S"],
        ["wait", "--deployment", "d", "--interval", "PT2M"],
        ["wait", "--deployment", "d", "--max-failed", "-1"],
        ["wait", "--deployment", "d", "--max-failed", "some"],
        ["wait", "--deployment", "d", "--max-failed", "101%"],
        ["wait", "--deployment", "d", "--soak", "10x"],
        ["wait", "--deployment", ""],
        ["wait", "--deployment", "d", "--device", " "],
        ["wait", "--deployment", "d", "--cohort", "canary"],
        ["wait", "--deployment", "d", "--cohort", "=canary"],
        ["wait", "--deployment", "d", "--cohort", "ring=canary", "--device", "e"],
        ["wait", "--deployment", "d", "--min-devices", "0"],
        ["wait", "--deployment", "d", "--max", "1"],
        ["wait", "--deployment", "d", f"--kye={SECRET}"],
        ["wait", "--deployment", "d", "--kye", SECRET],
        ["wait", "--deployment", "d", SECRET],
        ["explain"],
        ["explain", "d", SECRET],
        ["replay-dead-letters", "--reason"],
    ],
)
def test_wrong_arguments_have_their_own_code_and_no_value_is_shown(arguments: list[str], capsys: Output) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == ExitCode.USAGE
    printed = capsys.readouterr()
    assert "usage:" in printed.err
    assert SECRET not in printed.err + printed.out


def test_a_wait_for_nothing_has_the_same_code(capsys: Output) -> None:
    assert main(["wait"]) == ExitCode.USAGE
    assert capsys.readouterr().err == "wait takes --deployment, --device, or both\n"


@pytest.mark.parametrize(
    ("command", "package", "install"),
    [
        ("doctor --url http://localhost:1", "aiohttp", "-r requirements.txt"),
        ("mcp --url http://localhost:1", "mcp", "'edge-deployment-status[mcp]'"),
        ("wait --deployment d", "azure", "'edge-deployment-status[tables]'"),
    ],
)
def test_a_package_that_is_missing_is_named_with_what_installs_it(command: str, package: str, install: str) -> None:
    without = [sys.executable, "-S", "-m", "status_app", *command.split()]  # -S: no packages
    tables = {"STATUS_TABLES": "UseDevelopmentStorage=true"}
    done = subprocess.run(without, cwd=ROOT, env=tables, capture_output=True, text=True, check=False)  # noqa: S603 (ours)
    assert done.returncode == ExitCode.UNAVAILABLE
    assert done.stderr == f"the package {package} is not installed: run pip install {install}\n"


def test_a_setting_that_is_missing_has_the_same_code(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    for name in ("DEPLOYMENT_STATUS_URL", "STATUS_TABLES"):
        monkeypatch.delenv(name, raising=False)
    assert main(["explain", "d"]) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("neither DEPLOYMENT_STATUS_URL")


def test_a_bug_does_not_end_with_the_code_of_a_deployment_that_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    def broken(*_asked: Any) -> None:
        raise KeyError(SECRET)

    monkeypatch.setattr("status_app.command_line.choose_source", broken)
    assert main(["wait", "--deployment", "d"]) == ExitCode.SOFTWARE
    printed = capsys.readouterr().err
    assert printed.endswith("a bug: KeyError\n")
    assert SECRET not in printed
