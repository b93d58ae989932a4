"""docs/library.md: its examples run where nothing but the wheel is installed, and its names are those of the core."""

import json
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import status_core

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/library.md").read_text()
ONE_TWIN, OVER_TIME = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
TRACE = ROOT / "tests/field/agent/d2_crash_loop_3s_3h.jsonl"
CASE = ROOT / "tests/cases/048_200_module_backoff.json"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel alone."""
    folder = tmp_path_factory.mktemp("library")
    source = folder / "source"  # a build leaves files beside what it builds
    shutil.copytree(ROOT / "status_core", source / "status_core", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(build, check=True, cwd=folder)  # noqa: S603 (a fixed command)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    found = folder / "venv/bin/python"
    (target,) = (folder / "venv").glob("lib/*/site-packages")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, cwd=folder)  # noqa: S603 (as above)
    return found


def test_the_wheel_has_the_core_with_its_types_and_nothing_else(python: Path) -> None:
    packages = {path.name for path in python.parents[1].glob("lib/*/site-packages/*") if path.is_dir()}
    assert {name for name in packages if not name.endswith(".dist-info")} - {"__pycache__"} == {"status_core"}
    assert list(python.parents[1].glob("lib/*/site-packages/status_core/py.typed"))


def run(python: Path, example: str, given: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-I", "-c", example]
    return subprocess.run(command, cwd=folder, input=given, capture_output=True, text=True, check=False)  # noqa: S603 (the page's own)


def test_the_first_example_judges_a_twin_and_fails_where_it_is_not_successful(python: Path, tmp_path: Path) -> None:
    result = run(python, ONE_TWIN, json.dumps(json.loads(CASE.read_text())["twin"]), tmp_path)
    assert result.returncode == 1, result.stderr
    assert "module_failed" in result.stdout
    assert "wrong_status, backoff" in result.stdout


def test_the_second_example_tells_the_news_of_a_device(python: Path, tmp_path: Path) -> None:
    lines = [line for line in TRACE.read_text().splitlines() if "twin" in json.loads(line)]
    result = run(python, OVER_TIME, "\n".join(lines), tmp_path)
    assert result.returncode == 0, result.stderr
    assert "module m1 wrong_status backoff" in result.stdout


def test_the_page_names_only_what_the_core_exports() -> None:
    table = PAGE.partition("## What is public")[2].partition("## Versions")[0]
    named = set(re.findall(r"`(\w+)`", table)) - {"status_core"}
    assert named <= set(status_core.__all__), named - set(status_core.__all__)
