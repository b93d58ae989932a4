"""docs/licences.md is the truth, and no package is under a licence that asks for the app's own code."""

import json
import re
from email.message import Message
from importlib.metadata import PackageMetadata
from pathlib import Path
from typing import cast

import pytest

from checks.licences.licence import UNKNOWN, is_allowed, licence_of
from checks.licences.packages import Package, packages
from checks.licences.page import npm_licences, page

ROOT = Path(__file__).parents[1]
PACKAGES = packages(ROOT)
OF_TV4 = "http://geraintluff.github.io/tv4/LICENSE.txt"
"""An address in the place of a name, of one npm package."""


def metadata(*fields: tuple[str, str]) -> PackageMetadata:
    message = Message()
    for name, value in fields:
        message[name] = value
    return cast("PackageMetadata", message)


def test_the_page_lists_what_is_installed_and_pinned() -> None:
    assert (ROOT / "docs/licences.md").read_text() == page(ROOT)


def test_what_requirements_txt_names_is_deployed_with_what_it_pulls_in_and_tools_are_not() -> None:
    deployed = {package.name for package in PACKAGES if package.is_deployed}
    named = {
        line.partition("==")[0]
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    assert named | {"azure-core", "certifi", "cryptography", "msrest", "yarl"} <= deployed
    assert {"pytest", "mypy", "schemathesis", "trustme"}.isdisjoint(deployed)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_every_licence_is_an_allowed_one(package: Package) -> None:
    assert is_allowed(package.licence)


def test_every_licence_of_a_tool_from_npm_is_an_allowed_one() -> None:
    assert [name for name in npm_licences(ROOT) if not is_allowed(name.strip("()"))] == [OF_TV4]


def test_every_package_that_package_json_names_is_pinned_and_explained() -> None:
    named = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    explained = re.findall(r"^\| `([\w@/-]+)` \| \w", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert sorted(explained) == sorted(named)
    assert [version for version in named.values() if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 AND MIT", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only", False),
        ("MIT AND LGPL-2.1-or-later", False),
        ("AGPL-3.0-only OR GPL-2.0-only", False),
        (UNKNOWN, False),
        ("", False),
    ],
)
def test_an_expression_is_allowed_if_one_of_its_choices_is(expression: str, allowed: bool) -> None:
    assert is_allowed(expression) is allowed


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("License-Expression", "MIT"), ("License", "Apache 2.0")], "MIT"),
        ([("License", "The whole text of a licence"), ("Classifier", "License :: OSI Approved :: BSD License")], "BSD"),
        ([("License", "MIT License")], "MIT"),
        ([("License-Expression", "GPL-3.0-only")], "GPL-3.0-only"),
        ([("Classifier", "License :: OSI Approved :: GNU General Public License v3 (GPLv3)")], UNKNOWN),
        ([], UNKNOWN),
    ],
)
def test_metadata_of_any_age_gives_a_licence(fields: list[tuple[str, str]], expected: str) -> None:
    assert licence_of(metadata(*fields)) == expected
