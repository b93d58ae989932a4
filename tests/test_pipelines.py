"""The steps of the action and of the template, as a shell runs them, and the summary."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # its types are a package of their own, for this one call

from status_app.commands.exit_codes import ExitCode
from status_app.commands.summary import summary, write_summary
from status_app.commands.terminal import printable

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
TEMPLATE = yaml.safe_load((ROOT / "pipelines/wait.yml").read_text())
HOSTILE = "release'; touch owned; $(touch owned) `touch owned` \"x"


def shim(path: Path, code: int) -> None:
    """A program that keeps what it is called with."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "#!/bin/sh\n"
        f'for word in "$@"; do printf "%s\\n" "$word"; done >"{path}.arguments"\n'
        f'printf "%s" "$DEPLOYMENT_STATUS_URL $DEPLOYMENT_STATUS_KEY" >"{path}.environment"\n'
        f'while [ $# -gt 1 ]; do if [ "$1" = --summary ]; then echo "# it failed" >>"$2"; fi; shift; done\n'
        f"exit {code}\n"
    )
    path.chmod(0o755)


def arguments(path: Path) -> list[str]:
    return Path(f"{path}.arguments").read_text().splitlines()


def run(script: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A step as a pipeline runs it: by bash, which ends at the first error."""
    return subprocess.run(  # noqa: S603 (our own scripts)
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],  # noqa: S607 (the shell of the pipelines)
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def steps() -> dict[str, Any]:
    return {step.get("id", step.get("name", "")): step for step in ACTION["runs"]["steps"]}


@pytest.mark.parametrize("code", [0, 1, 2, 78])
def test_the_action_waits_gives_the_exit_code_and_writes_the_summary(tmp_path: Path, code: int) -> None:
    program = tmp_path / "edge-status/bin/edge-status"
    shim(program, code)
    environment = {
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "DEPLOYMENT": HOSTILE,
        "DEPLOYMENT_STATUS_URL": "https://app",
        "DEPLOYMENT_STATUS_KEY": "hunter2",
        "TIMEOUT": "PT5M",
        "ARGUMENTS": "--max-failed 2\n--min-devices 40\n",
    }
    result = run(steps()["wait"]["run"], tmp_path, environment)
    assert result.returncode == code
    summarized = ["--summary", environment["GITHUB_STEP_SUMMARY"]]
    more = ["--max-failed", "2", "--min-devices", "40"]
    assert arguments(program) == ["wait", "--deployment", HOSTILE, "--timeout", "PT5M", *summarized, *more]
    assert Path(f"{program}.environment").read_text() == "https://app hunter2"
    assert (tmp_path / "output").read_text() == f"exit-code={code}\n"
    assert (tmp_path / "summary.md").read_text() == "# it failed\n"
    assert "hunter2" not in result.stdout + result.stderr
    assert not (tmp_path / "owned").exists()


def test_the_action_waits_without_further_arguments(tmp_path: Path) -> None:
    program = tmp_path / "edge-status/bin/edge-status"
    shim(program, 0)
    files = {"GITHUB_STEP_SUMMARY": str(tmp_path / "s"), "GITHUB_OUTPUT": str(tmp_path / "o")}
    known = {"RUNNER_TEMP": str(tmp_path), "DEPLOYMENT": "d", "TIMEOUT": "PT1M", "ARGUMENTS": ""}
    assert run(steps()["wait"]["run"], tmp_path, files | known).returncode == 0
    assert arguments(program)[-1] == files["GITHUB_STEP_SUMMARY"]


def test_no_input_is_a_part_of_a_script() -> None:
    scripts = [step["run"] for step in ACTION["runs"]["steps"] if "run" in step]
    scripts += [step["bash"] for step in TEMPLATE["steps"] if "bash" in step]
    assert len(scripts) == 4
    assert not [script for script in scripts if "${{" in script or "$(" in script]


def test_the_action_installs_what_it_was_checked_out_with(tmp_path: Path) -> None:
    python = tmp_path / "bin/python"
    shim(python, 0)
    shim(tmp_path / "edge-status/bin/python", 0)
    found = {"RUNNER_TEMP": str(tmp_path), "ACTION_PATH": "/checkout", "PATH": f"{python.parent}:{os.environ['PATH']}"}
    assert run(steps()["Install edge-status"]["run"], tmp_path, found).returncode == 0
    assert arguments(python) == ["-m", "venv", str(tmp_path / "edge-status")]
    assert arguments(tmp_path / "edge-status/bin/python")[-1] == "/checkout"


@pytest.mark.parametrize("code", [0, 1])
def test_the_template_waits_and_shows_summary_and_error(tmp_path: Path, code: int) -> None:
    program = tmp_path / "edge-status/bin/edge-status"
    shim(program, code)
    step = next(step for step in TEMPLATE["steps"] if step.get("displayName") == "Wait for the deployment")
    known = {"AGENT_TEMPDIRECTORY": str(tmp_path), "DEPLOYMENT": HOSTILE, "TIMEOUT": "PT5M", "ARGUMENTS": "--strict"}
    result = run(step["bash"], tmp_path, known)
    assert result.returncode == code
    assert arguments(program)[:3] == ["wait", "--deployment", HOSTILE]
    assert arguments(program)[-1] == "--strict"
    assert f"##vso[task.uploadsummary]{tmp_path}/edge-status.md" in result.stdout
    assert ("##vso[task.logissue type=error]" in result.stdout) is (code != 0)
    assert not (tmp_path / "owned").exists()


def cause(**more: Any) -> dict[str, Any]:
    known = {
        "cause": "image_not_found: vision",
        "devices": 40,
        "stuck": 38,
        "examples": [{"deviceId": "edge-01"}, {"deviceId": "edge-02"}],
        "advice": "Push the image.",
    }
    return known | more


def test_a_summary_has_the_end_and_its_causes() -> None:
    text = summary(["camera-2"], ExitCode.FAILED, ["FAILED: 40 devices."], {"camera-2": [cause()]})
    assert text.splitlines()[:3] == ["## Deployment camera-2 has failed", "", "    FAILED: 40 devices."]
    assert "| 40 | 38 | image&#95;not&#95;found: vision | edge-01, edge-02 | Push the image. |" in text


@pytest.mark.parametrize(
    ("code", "words"),
    [(ExitCode.OK, "has succeeded"), (ExitCode.TIMED_OUT, "has timed out"), (ExitCode.CONFIG, "judged")],
)
def test_each_end_has_its_heading(code: ExitCode, words: str) -> None:
    assert words in summary(["d"], code, [], {}).splitlines()[0]


def test_words_of_devices_are_text_in_a_summary() -> None:
    hostile = "a | b](https://evil.example) <script> @everyone\n## big `x` ##vso[task.setvariable]"
    text = summary(["d"], ExitCode.FAILED, [hostile], {"d": [cause(cause=hostile, advice=None)] * 25})
    (row, *_) = [line for line in text.splitlines() if line.startswith("| 40")]
    assert row.count("|") == 6
    assert not set("<[`@") & set(row)
    assert "There are more causes" in text
    assert all(line.startswith("    ") for line in text.splitlines() if "setvariable" in line and "| 40" not in line)


def test_a_summary_is_added_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    write_summary(path, "after")
    assert path.read_text() == "before\nafter\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("##vso[task.setvariable variable=a]b", "# #vso[task.setvariable variable=a]b"),
        ("x ##[error]y", "x # #[error]y"),
        ("::set-output name=a::b", ": :set-output name=a::b"),
        ("  ::error::x", "  : :error::x"),
        ("a::b ## c", "a::b ## c"),
    ],
)
def test_a_line_of_a_log_is_no_command_to_a_pipeline(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_the_page_of_the_gate_shows_the_action_with_all_its_inputs_and_names_the_template() -> None:
    page = (ROOT / "docs/gate.md").read_text()
    assert "action.yml" in page
    assert "pipelines/wait.yml" in page
    (shown,) = re.findall(r"^  with:\n((?:    .+\n)+)", page, re.MULTILINE)
    assert set(yaml.safe_load(shown)) == set(ACTION["inputs"]) == {"arguments", "deployment", "key", "timeout", "url"}
