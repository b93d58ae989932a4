"""Each kind of mistake in the infrastructure is found, where it is: tried on copies of the real files."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped] # its types are a package of their own, for this one call

from checks.infra.check import findings
from checks.infra.kql import Query, document_queries, query_findings
from checks.infra.syntax import Finding

ROOT = Path(__file__).parents[2]
MISTAKES = yaml.safe_load((Path(__file__).parent / "mistakes.yaml").read_text())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "infra", tmp_path / "infra"))


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["when"])
def test_it_is_found_when(copy: Path, mistake: Mapping[str, str]) -> None:
    path = copy / mistake["file"]
    before = path.read_text()
    assert mistake["old"] in before
    path.write_text(before.replace(mistake["old"], mistake["new"], 1))
    found = list(findings(copy, ROOT))
    first = next((finding for finding in found if mistake["finding"] in finding.text), None)
    assert first is not None, [str(finding) for finding in found]
    lines = (copy.parent / first.path).read_text().splitlines()
    if "line" in mistake:
        assert mistake["line"] in lines[first.line - 1]
    else:
        changed = before.partition(mistake["old"])[0].count("\n") + 1
        assert (first.path, first.line) == (Path("infra") / mistake["file"], changed)


def test_a_file_that_cannot_be_parsed_is_the_only_finding(copy: Path) -> None:
    path = copy / "main.bicep"
    path.write_text(path.read_text().replace("targetScope = 'subscription'", "targetScope = = 'subscription'"))
    assert {str(finding).partition(": ")[0] for finding in findings(copy, ROOT)} == {"infra/main.bicep:1"}


def test_the_command_finds_nothing_in_the_real_files() -> None:
    command = [sys.executable, "-m", "checks.infra"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 (a fixed command)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("block", "line", "message"),
    [
        ("requests | take 1", 4, "a query does not say which blade it is for"),
        (
            "// Application Insights\ntraces | take 1\n\ntraces | where mesage == 'a'",
            7,
            "The name 'mesage' does not refer",
        ),
        ("// Application Insights\nAppTraces | take 1", 5, "The name 'AppTraces' does not refer"),
        ("// Log Analytics workspace log-1\ntraces | take 1", 5, "The name 'traces' does not refer"),
        ("// Log Analytics workspace\nAppTraces | take", 5, "a query is wrong"),
    ],
)
def test_a_query_of_a_page_is_held_to_the_tables_of_its_blade(
    tmp_path: Path, block: str, line: int, message: str
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n```kusto\n{block}\n```\n")
    found = list(document_queries(page, Path("page.md")))
    findings_of_page = [one for one in found if isinstance(one, Finding)]
    findings_of_page += query_findings([one for one in found if isinstance(one, Query)])
    assert [(one.line, message in one.text) for one in findings_of_page] == [(line, True)]
