"""The core is pure: the standard library, no clock, no chance, no I/O."""

import ast
import sys
from pathlib import Path

import pytest

import status_core

FOLDER = Path(status_core.__file__).parent
FILES = sorted(FOLDER.glob("*.py"))
PURE = [path for path in FILES if path.name != "__main__.py"]
IMPURE_MODULES = {"asyncio", "io", "os", "pathlib", "random", "secrets", "socket", "subprocess", "sys", "time", "uuid"}
IMPURE_CALLS = {"now", "utcnow", "today", "open", "print", "input", "eval", "exec", "__import__"}


def imported(tree: ast.AST) -> set[str]:
    """The modules that a file imports, whole names."""
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def called(tree: ast.AST) -> set[str]:
    """The last name of everything that a file calls."""
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {function.id for function in functions if isinstance(function, ast.Name)}
    return names | {function.attr for function in functions if isinstance(function, ast.Attribute)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_imports_the_standard_library_and_the_core_alone(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imported(ast.parse(path.read_text()))}
    assert roots - sys.stdlib_module_names <= {"status_core"}


@pytest.mark.parametrize("path", PURE, ids=lambda path: path.name)
def test_a_file_asks_no_clock_throws_no_dice_and_opens_nothing(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not {name.partition(".")[0] for name in imported(tree)} & IMPURE_MODULES
    assert not called(tree) & IMPURE_CALLS


def test_the_public_names_are_those_that_the_package_gathers() -> None:
    tree = ast.parse((FOLDER / "__init__.py").read_text())
    gathered = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert gathered == set(status_core.__all__)
    assert sorted(status_core.__all__, key=lambda name: (not name.isupper(), name)) == status_core.__all__
    assert all(hasattr(status_core, name) for name in gathered)
