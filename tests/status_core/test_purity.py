"""The core is pure: the standard library, no clock, no I/O."""

import ast
import sys
from pathlib import Path

import status_core

FILES = sorted(Path(status_core.__file__).parent.glob("*.py"))


def test_the_core_imports_the_standard_library_and_itself() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                root = name.partition(".")[0]
                assert root == "status_core" or root in sys.stdlib_module_names, f"{path.name} imports {name}"


def test_the_core_asks_no_clock_and_opens_nothing() -> None:
    forbidden = {"utcnow", "today", "monotonic", "open", "read_text", "read_bytes", "environ", "getenv"}
    for path in FILES:
        if path.name != "__main__.py":
            nodes = list(ast.walk(ast.parse(path.read_text())))
            called = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
            called |= {node.id for node in nodes if isinstance(node, ast.Name)}
            assert not called & forbidden, path.name
            assert "datetime.now" not in path.read_text(), path.name


def test_the_public_names_are_those_that_are_listed() -> None:
    public = {name for name, value in vars(status_core).items() if not name.startswith("_")}
    modules = {path.stem for path in FILES}
    assert set(status_core.__all__) == public - modules | {"advance"}
