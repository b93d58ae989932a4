"""The packages of constraints.txt: what they are, and which of them are deployed."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from checks.licences.licence import licence_of

AZURE: Final = {
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_system": "Linux",
    "python_full_version": "3.13.0",
    "python_version": "3.13",
    "sys_platform": "linux",
}
"""Where the app is deployed, whatever runs this check."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package that an install resolves to. `is_deployed`: requirements.txt names it, or pulls it in."""

    name: str
    version: str
    licence: str
    is_deployed: bool


def packages(root: Path) -> list[Package]:
    """Every package of constraints.txt, those that are deployed first.

    Raises:
        PackageNotFoundError: A package is not installed.
        LookupError: One that is deployed is not pinned, or another version than the pinned one is installed.
    """
    pinned = {canonicalize_name(pin.name): pin for pin in _requirements(root / "constraints.txt")}
    deployed = deployed_packages(root)
    if not deployed <= pinned.keys():
        raise LookupError(f"not in constraints.txt: {', '.join(sorted(deployed - pinned.keys()))}")
    found = []
    for name, pin in pinned.items():
        installed = distribution(name)
        if not pin.specifier.contains(installed.version, prereleases=True):
            raise LookupError(f"{pin} is pinned, and {installed.version} is installed")
        found.append(Package(pin.name, installed.version, licence_of(installed.metadata), name in deployed))
    return sorted(found, key=lambda package: (not package.is_deployed, package.name.lower()))


def deployed_packages(root: Path) -> set[NormalizedName]:
    """What Azure's remote build installs: requirements.txt, and all that it pulls in."""
    found: set[NormalizedName] = set()
    left = list(_requirements(root / "requirements.txt"))
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        extras = {"", *requirement.extras}
        # An extra of a package that was seen without it is walked again: there are few.
        if name in found and extras == {""}:
            continue
        found.add(name)
        for text in distribution(name).requires or ():
            needed = Requirement(text)
            marker = needed.marker
            if marker is None or any(marker.evaluate({**AZURE, "extra": extra}) for extra in extras):
                left.append(needed)
    return found


def _requirements(path: Path) -> Iterator[Requirement]:
    for line in path.read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text and not text.startswith("-"):
            yield Requirement(text)
