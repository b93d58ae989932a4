"""The version of the app is the same in every place that names it."""

import re
import tomllib
from pathlib import Path

import yaml  # type: ignore[import-untyped] # its types are a package of their own, for this one call

from status_app.version import VERSION

ROOT = Path(__file__).parents[1]


def test_the_package_the_api_and_the_changelog_have_the_version_of_the_app() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    api = yaml.safe_load((ROOT / "schemas/openapi.yaml").read_text())["info"]["version"]
    changes = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert changes is not None
    assert {package, api, changes[1]} == {VERSION}
