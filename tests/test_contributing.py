"""CONTRIBUTING.md is right: each check is one command, and all use the same versions."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped] # its types are a package of their own, for this one call

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def make(*arguments: str) -> list[str]:
    """The lines that make prints."""
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()  # noqa: S603 (our own Makefile)


def document(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def test_make_help_has_a_line_for_each_target() -> None:
    (phony,) = re.findall(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert sorted(line.split()[0] for line in make("help")) == sorted(phony.replace("\\\n", " ").split())


def test_every_target_that_contributing_names_is_one() -> None:
    targets = {line.split()[0] for line in make("help")}
    assert {"quick", "test", "demo"} <= set(re.findall(r"`make ([\w-]+)`", CONTRIBUTING)) <= targets


def test_a_commit_is_checked_by_what_make_lint_runs() -> None:
    lint = make("--dry-run", "lint")
    (local,) = document(".pre-commit-config.yaml")["repos"]
    for hook in local["hooks"]:
        command = hook["entry"].replace(" --force-exclude", "")
        if command.startswith("make "):
            assert set(make("--dry-run", command.split()[1])) <= set(lint), command
        else:
            assert f"{command} ." in lint


def test_ci_and_the_devcontainer_have_the_versions_that_contributing_names() -> None:
    (job,) = document(".github/workflows/ci.yml")["jobs"].values()
    *_, last = job["steps"]
    assert last == {"run": ".ci/run"}
    python = (ROOT / ".python-version").read_text().strip()
    (node,) = {step["with"]["node-version"] for step in job["steps"] if "node-version" in step.get("with", {})}
    lines = (ROOT / ".devcontainer/devcontainer.json").read_text().splitlines()
    container = json.loads("".join(line for line in lines if not line.startswith("//")))
    assert f":{python}-" in container["image"]
    assert container["features"]["ghcr.io/devcontainers/features/node:1"] == {"version": str(node)}
    assert f"Python {python}, Node.js {node} and make" in CONTRIBUTING
    assert f"Python {python} and Node.js {node} or later" in (ROOT / "README.md").read_text()
