"""Each kind of mistake in the infrastructure is found, where it is: tried on copies of the real files."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped] # its types are a package of their own, for this one call

from checks.infra.check import findings

ROOT = Path(__file__).parents[2]
MISTAKES = yaml.safe_load((Path(__file__).parent / "mistakes.yaml").read_text())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "infra", tmp_path / "infra"))


def test_the_real_files_have_no_finding() -> None:
    assert [str(finding) for finding in findings(ROOT / "infra", ROOT)] == []


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["when"])
def test_it_is_found_when(copy: Path, mistake: Mapping[str, str]) -> None:
    path = copy / mistake["file"]
    before = path.read_text()
    assert mistake["old"] in before
    path.write_text(before.replace(mistake["old"], mistake["new"], 1))
    found = list(findings(copy, ROOT))
    told = [finding for finding in found if mistake["told"] in finding.text]
    assert told, [str(finding) for finding in found]
    lines = (copy.parent / told[0].path).read_text().splitlines()
    if "line" in mistake:
        assert mistake["line"] in lines[told[0].line - 1]
    else:
        changed = before.partition(mistake["old"])[0].count("\n") + 1
        assert (told[0].path, told[0].line) == (Path("infra") / mistake["file"], changed)


def test_a_file_that_cannot_be_parsed_is_told_of_alone(copy: Path) -> None:
    path = copy / "main.bicep"
    path.write_text(path.read_text().replace("targetScope = 'subscription'", "targetScope = = 'subscription'"))
    assert {str(finding).partition(": ")[0] for finding in findings(copy, ROOT)} == {"infra/main.bicep:1"}


def test_the_command_prints_nothing_where_nothing_is_wrong() -> None:
    command = [sys.executable, "-m", "checks.infra"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 (a fixed command)
    assert (result.stdout, result.stderr) == ("", "")
