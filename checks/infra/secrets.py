"""Secrets: nothing asks a service for its keys, and nothing that may be one is an output."""

import re
from collections.abc import Iterator
from typing import Final

from tree_sitter import Node

from checks.infra.syntax import BicepFile, Finding, text, walk

_ASKS: Final = re.compile(r"list[A-Z]\w*|getSecret")
_SECRET: Final = re.compile(r"(connection_?string|key|secret|password|sas_?token)s?\d?$", re.IGNORECASE)


def secret_findings(file: BicepFile) -> Iterator[Finding]:
    """Calls that answer with keys, anywhere, and outputs that may hold a secret."""
    for node in walk(file.root):
        if node.type == "call_expression":
            function = text(node.children[0]).rpartition(".")[2]
            if _ASKS.fullmatch(function):
                yield file.finding(node, f"{function}() answers with secrets")
    for output in file.outputs.values():
        if _SECRET.search(output.name):
            yield file.finding(output.node, f"output {output.name!r} is a secret by its name")
        if output.value is not None:
            for name in dict.fromkeys(_secrets(file, output.value, frozenset())):
                yield file.finding(output.node, f"output {output.name!r} holds {name!r}, which may be a secret")


def _secrets(file: BicepFile, value: Node, seen: frozenset[str]) -> Iterator[str]:
    """Names of secrets in an expression, those of the variables in it included."""
    for node in walk(value):
        name = text(node)
        parameter = file.parameters.get(name) if node.type == "identifier" else None
        if node.type == "property_identifier":
            if _SECRET.search(name):
                yield name
        elif parameter is not None and "secure" in parameter.decorators:
            yield name
        elif node.type == "identifier" and name in file.variables and name not in seen:
            variable = file.variables[name].value
            if variable is not None:
                yield from _secrets(file, variable, seen | {name})
