"""`make start`: what scripts/start checks and starts. Core Tools and Azurite are stubs."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Nothing else is on the PATH: this machine may have Core Tools.
TOOLS = ("cat", "cp", "dirname", "grep", "mkdir", "sed", "sleep")
AZURITE = """#!/bin/sh
trap 'echo stopped >azurite.stopped; exit' TERM
echo "$@" >azurite.arguments
echo "Azurite Table service is successfully listening at http://127.0.0.1:10002"
while :; do sleep 0.1; done
"""
FUNC = """#!/bin/sh
echo "func $* with $(command -v python)"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with what the script needs, settings that are filled in, and both programs."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/start", tmp_path / "scripts")
    shutil.copy(ROOT / "local.settings.example.json", tmp_path)
    (tmp_path / "local.settings.json").write_text('{"Values": {"IOT_HUB": "hub.example.com"}}')
    program(tmp_path / "node_modules/.bin/azurite", AZURITE)
    program(tmp_path / "bin/func", FUNC)
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    program(tmp_path / ".venv/bin/python", "")
    return tmp_path


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def start(project: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["/bin/sh", "scripts/start"],
        cwd=project,
        env={**os.environ, "PATH": str(project / "bin")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def outcome(project: Path) -> tuple[int, str, str]:
    with start(project) as process:
        out, err = process.communicate()
    return process.returncode, out, err


def test_core_tools_run_with_the_python_of_the_project_beside_azurite_on_its_own_ports(project: Path) -> None:
    assert outcome(project) == (0, f"func start with {project / '.venv/bin/python'}\n", "")
    assert (project / "azurite.arguments").read_text() == "--location .local/azurite --silent --skipApiVersionCheck\n"
    assert (project / "azurite.stopped").exists()


def test_the_exit_code_of_core_tools_is_handed_on_and_azurite_stopped(project: Path) -> None:
    program(project / "bin/func", "#!/bin/sh\nexit 7")
    assert outcome(project)[0] == 7
    assert (project / "azurite.stopped").exists()


def test_missing_core_tools_are_reported_with_where_to_get_them(project: Path) -> None:
    (project / "bin/func").unlink()
    code, _, err = outcome(project)
    assert code == 1
    assert "func is missing" in err
    assert "npm install --global azure-functions-core-tools@4" in err


def test_the_settings_are_made_of_the_example_and_what_they_still_need_is_named(project: Path) -> None:
    (project / "local.settings.json").unlink()
    code, out, err = outcome(project)
    assert (code, out) == (1, "")
    assert "local.settings.json is new" in err
    assert "no value yet for: TwinChanges" in err
    assert " IOT_HUB" in err
    assert "GRACE_DEFAULT" not in err
    assert (project / "local.settings.json").read_text() == (ROOT / "local.settings.example.json").read_text()
    assert not (project / "azurite.arguments").exists()


def test_settings_that_are_there_are_never_overwritten(project: Path) -> None:
    settings = (project / "local.settings.json").read_text()
    outcome(project)
    assert (project / "local.settings.json").read_text() == settings


def test_an_azurite_that_does_not_start_is_quoted(project: Path) -> None:
    program(project / "node_modules/.bin/azurite", "#!/bin/sh\necho port 10000 is taken\nexit 1")
    code, out, err = outcome(project)
    assert (code, out) == (1, "")
    assert err == "Azurite did not start:\nport 10000 is taken\n"


def test_an_interrupt_stops_azurite(project: Path) -> None:
    program(project / "bin/func", "#!/bin/sh\necho started\nexec sleep 600")
    with start(project) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        os.killpg(process.pid, signal.SIGINT)
        process.communicate()
    assert process.returncode == 130
    assert (project / "azurite.stopped").exists()
