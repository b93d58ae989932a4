"""The tree of errors is whole: one base, and no error beside it."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

import pytest

import status_app
from status_app import errors
from status_app.errors import StatusAppError

_BRANCH = re.compile(r"^ {4}((?:[| ] {3})*)\+-- (\w+) {2,}(\S.*)$", re.MULTILINE)


def defined() -> dict[str, type[BaseException]]:
    """Every exception class of status_app, by its name."""
    found: dict[str, type[BaseException]] = {}
    for module in pkgutil.walk_packages(status_app.__path__, "status_app."):
        for name, value in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(value, BaseException) and value.__module__ == module.name:
                assert name not in found, f"two errors are called {name}"
                found[name] = value
    return found


def drawn() -> Iterator[tuple[str, str, str]]:
    """Each error of the docstring's tree, with its parent there and its text."""
    path = ["StatusAppError"]
    for indent, name, text in _BRANCH.findall(errors.__doc__ or ""):
        path = [*path[: len(indent) // 4 + 1], name]
        yield name, path[-2], text


def test_every_error_descends_from_the_one_base() -> None:
    assert [name for name, error in defined().items() if not issubclass(error, StatusAppError)] == []


def test_the_docstring_draws_every_error_below_its_parent() -> None:
    parents = {name: error.__bases__[0].__name__ for name, error in defined().items() if error is not StatusAppError}
    assert {name: parent for name, parent, _ in drawn()} == parents


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, _, text in drawn()])
def test_the_docstring_names_the_module_of_an_error(name: str, text: str) -> None:
    place = re.search(r"\((\w+\.\w+)\)$", text)
    module = f"status_app.{place[1]}" if place else errors.__name__
    home = defined()[name].__module__
    assert home == module or home.startswith(f"{module}.")
