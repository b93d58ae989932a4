"""docs/licences.md: one line for each package."""

import json
from collections import Counter
from pathlib import Path
from typing import Final

from checks.licences.packages import packages

_HEAD: Final = """\
# Licences

For whoever has to approve the packages that the app brings. `make licences` writes this page from the metadata of what
is installed. A test compares the two, and allows only the licences of `checks/licences/licence.py`: none of them asks
for anything of the app's own code.

## Python

A package is deployed where `requirements.txt` names it or pulls it in; any other one is a tool of development. A
licence is given as the package says it, in the words of SPDX; `BSD` where it does not say how many clauses.

| package | version | licence | |
|---|---|---|---|
"""
_NPM: Final = """
## npm

All are tools of development, none is deployed; [CONTRIBUTING.md](../CONTRIBUTING.md#npm-packages) says what those that
`package.json` names are for. `package-lock.json` names them with their versions and licences.

| licence | packages |
|---|---|
"""


def page(root: Path) -> str:
    """The page, as docs/licences.md should be.

    Raises:
        LookupError: As of `packages`.
    """
    lines = [
        f"| {package.name} | {package.version} | {package.licence} | {'deployed' if package.is_deployed else 'dev'} |\n"
        for package in packages(root)
    ]
    counted = sorted(npm_licences(root).items(), key=lambda entry: (-entry[1], entry[0]))
    return "".join([_HEAD, *lines, _NPM, *(f"| {licence} | {count} |\n" for licence, count in counted)])


def npm_licences(root: Path) -> Counter[str]:
    """How many packages of package-lock.json are under which licence."""
    locked = json.loads((root / "package-lock.json").read_text())["packages"]
    return Counter(entry.get("license", "unknown") for path, entry in locked.items() if path)
