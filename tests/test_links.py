"""Every link of the documents leads somewhere, every heading that one names is there, and each page can be found."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted({*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / ".github").rglob("*.md")})
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
OUTSIDE = re.compile(r"https?:")
NAMED = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|json|yaml|yml))`")
"""A file or folder of the project, as text names it."""
NOT_HERE = {
    ".github/workflows/deploy.yml",  # made by who reads the page
    "reported_states_during_deployment.md",  # Microsoft's
}


def prose(page: Path) -> str:
    """The text of a page without its blocks of code."""
    return FENCED.sub("", page.read_text())


def anchors(page: Path) -> Iterator[str]:
    """The anchors of a page, as GitHub makes them of its headings: in small letters, the second of a name with `-1`."""
    seen: dict[str, int] = {}
    for heading in HEADING.findall(prose(page)):
        slug = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        count = seen[slug] = seen.get(slug, -1) + 1
        yield f"{slug}-{count}" if count else slug


def broken(page: Path) -> Iterator[str]:
    """The links of a page that lead nowhere."""
    for link in LINK.findall(prose(page)):
        if OUTSIDE.match(link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        is_there = target.exists() and target.resolve().is_relative_to(ROOT)
        if not is_there or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_every_anchor_to_a_heading(page: Path) -> None:
    assert list(broken(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    assert {name for name in NAMED.findall(prose(page)) if not (ROOT / name).exists()} - NOT_HERE == set()


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    page = tmp_path / "page.md"
    right, wrong = ["#a-c", "#b-1", "page.md#b"], ["no.md", "#c", "../page.md", "page.md#b-2"]
    page.write_text("# A `c`\n## b\n## b\n" + " ".join(f"[link]({target})" for target in right + wrong))
    (tmp_path.parent / "page.md").touch()
    assert list(broken(page)) == wrong


def test_the_map_of_the_docs_has_every_page_once() -> None:
    linked = re.findall(r"^\| \[[^]]+\]\(([\w-]+\.md)\)", (DOCS / "README.md").read_text(), re.MULTILINE)
    assert sorted(linked) == sorted({page.name for page in DOCS.glob("*.md")} - {"README.md"})
