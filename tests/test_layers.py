"""Imports point one way: between packages, between the layers of status_app, and without circles.

Every import counts, those inside functions and those for type checkers alone too.
"""

import ast
from collections.abc import Iterable, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import status_core

ROOT = Path(__file__).parents[1]
PACKAGES = ("function_app", "status_app", "status_core", "local")

ALLOWED = {
    "function_app": {"status_app"},
    "status_app": {"status_core"},
    "status_core": set[str](),
    "local": {"function_app", "status_app", "status_core"},
}
"""What a package may import beside itself."""

OUTSIDE = ("status_app", "local", "benchmarks", "checks", "scripts", "tests")
"""Folders beside `status_core`."""

LAYERS = (
    {"__main__"},
    {"command_line"},
    {"services"},
    {"commands", "http", "notify"},
    {"queries", "reconcile"},
    {"events", "rollouts", "fleet_index", "status_table", "iothub", "ingest"},
    {"storage"},
    {"listing", "telemetry", "settings", "errors", "retry", "schedule", "service_clock", "version"},
)
"""The parts of status_app, from the top down: each may import its own layer, and those below."""

type Imports = Mapping[str, set[str]]
"""What each module imports of the packages, by full names."""


def module_name(path: Path) -> str:
    """The name by which a file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> set[str]:
    """All that a file imports; a name that it takes out of a module, with the module before it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names}
    return found


@cache
def imports() -> Imports:
    """The modules of the packages, and which of them each imports."""
    files = [ROOT / "function_app.py", *(file for name in PACKAGES for file in (ROOT / name).rglob("*.py"))]
    modules = {module_name(path) for path in files}

    def of_a_file(path: Path) -> set[str]:
        names = imported(path)
        assert not any(name.startswith(".") for name in names), f"{path} has a relative import"
        return {name if name in modules else name.rpartition(".")[0] for name in names} & modules

    return {module_name(path): of_a_file(path) for path in files}


def circle(edges: Mapping[str, Iterable[str]]) -> list[str]:
    """The members of a circle, in the order in which they import each other; none where there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def parts(package: str) -> Imports:
    """What each part of a package imports of the others: its folders, and its modules outside of them."""
    found: dict[str, set[str]] = {}
    for module, names in imports().items():
        inside = {name.split(".")[1] for name in names if name.startswith(f"{package}.")}
        if module.startswith(f"{package}."):
            part = module.split(".")[1]
            found[part] = found.get(part, set()) | inside - {part}
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_those_below_it(package: str) -> None:
    of_package = [names for module, names in imports().items() if module.partition(".")[0] == package]
    roots = {name.partition(".")[0] for names in of_package for name in names}
    assert roots - {package} <= ALLOWED[package]


def test_all_but_its_own_tests_take_from_the_core_what_it_exports() -> None:
    files = [ROOT / "function_app.py", *(file for folder in OUTSIDE for file in (ROOT / folder).rglob("*.py"))]
    public = {f"status_core.{name}" for name in status_core.__all__}
    reached = {
        path.name: found
        for path in files
        if path.parent != ROOT / "tests" / "status_core"
        if (found := {name for name in imported(path) if name.startswith("status_core.")} - public)
    }
    assert reached == {}


def test_every_part_of_status_app_has_its_layer() -> None:
    assert parts("status_app").keys() - set.union(*LAYERS) == set()


@pytest.mark.parametrize("number", range(len(LAYERS)), ids=lambda number: "-".join(sorted(LAYERS[number])))
def test_a_layer_of_status_app_imports_none_above_it(number: int) -> None:
    above = set[str]().union(*LAYERS[:number])
    upward = {part: names & above for part, names in parts("status_app").items() if part in LAYERS[number]}
    assert not any(upward.values()), upward


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(imports()) == []


@pytest.mark.parametrize("package", ["status_core", "local"])
def test_no_folders_import_each_other_in_a_circle(package: str) -> None:
    assert circle(parts(package)) == []


def test_a_circle_is_found_however_long_it_is() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}})) == {"b", "c", "d"}
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
