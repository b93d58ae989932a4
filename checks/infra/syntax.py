"""Bicep files as syntax trees, and what they declare."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

_PARSER: Final = Parser(Language(tree_sitter_bicep.language()))
_DECLARATIONS: Final = (
    "parameter_declaration",
    "variable_declaration",
    "resource_declaration",
    "module_declaration",
    "output_declaration",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong.

    Attributes:
        path: The file.
        line: Its line, from 1.
        text: What is wrong.
    """

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Declaration:
    """A parameter, variable, resource, module or output.

    Attributes:
        name: What it is called in its file.
        node: The whole of it.
        value: What it is set to; of a resource or module its object, whatever condition or loop is around it. None of
            a parameter without a default.
        target: Type and version of a resource, path of a module, type of an output or parameter.
        decorators: Names of its decorators.
    """

    name: str
    node: Node
    value: Node | None
    target: str
    decorators: frozenset[str]

    @property
    def is_nullable(self) -> bool:
        """Whether a parameter can be left out without a default."""
        return self.target.endswith("?")


class BicepFile:
    """One file, parsed.

    Args:
        path: Where it is.
        shown: How findings name it.
    """

    def __init__(self, path: Path, shown: Path) -> None:
        self.path = path
        self.shown = shown
        self.root = _PARSER.parse(path.read_bytes()).root_node

    def finding(self, node: Node, message: str) -> Finding:
        """A finding at the line of a node."""
        return Finding(self.shown, node.start_point.row + 1, message)

    @property
    def parameters(self) -> Mapping[str, Declaration]:
        """The parameters by name."""
        return self._declared["parameter_declaration"]

    @property
    def variables(self) -> Mapping[str, Declaration]:
        """The variables by name."""
        return self._declared["variable_declaration"]

    @property
    def resources(self) -> Mapping[str, Declaration]:
        """The resources by name, those inside others included, whose targets are completed by the outer one's."""
        return self._declared["resource_declaration"]

    @property
    def modules(self) -> Mapping[str, Declaration]:
        """The modules by name."""
        return self._declared["module_declaration"]

    @property
    def outputs(self) -> Mapping[str, Declaration]:
        """The outputs by name."""
        return self._declared["output_declaration"]

    @property
    def scope(self) -> str:
        """What the file is deployed to."""
        assignments = (node for node in self.root.named_children if node.type == "target_scope_assignment")
        return next((literal(node.named_children[-1]) or "" for node in assignments), "resourceGroup")

    def syntax_findings(self) -> Iterator[Finding]:
        """Where the file cannot be parsed: the first place is the one to look at."""
        for node in walk(self.root):
            if node.is_missing:
                yield self.finding(node, f"syntax error: {node.type!r} is missing")
            elif node.is_error:
                yield self.finding(node, f"syntax error at {text(node).partition('\n')[0][:40]!r}")

    @cached_property
    def _declared(self) -> Mapping[str, Mapping[str, Declaration]]:
        declared: dict[str, dict[str, Declaration]] = {kind: {} for kind in _DECLARATIONS}
        self._collect(self.root, "", declared)
        return declared

    def _collect(self, parent: Node, outer: str, declared: dict[str, dict[str, Declaration]]) -> None:
        decorators: frozenset[str] = frozenset()
        for child in parent.named_children:
            # A resource inside another one is where a property would be.
            node = child.named_children[0] if child.type == "object_property" else child
            if node.type == "decorators":
                calls = (inner for inner in walk(node) if inner.type == "call_expression")
                decorators = frozenset(text(call.children[0]) for call in calls)
            elif node.type in declared:
                declaration = _declaration(node, outer, decorators)
                declared[node.type][declaration.name] = declaration
                decorators = frozenset()
                if node.type == "resource_declaration" and declaration.value is not None:
                    self._collect(declaration.value, declaration.target, declared)


def _declaration(node: Node, outer: str, decorators: frozenset[str]) -> Declaration:
    name, *rest = node.named_children
    target, value = "", None
    if node.type in {"parameter_declaration", "output_declaration"}:
        target = text(rest.pop(0)) if rest else ""
        value = rest[-1] if rest else None
    elif node.type == "variable_declaration":
        value = rest[-1] if rest else None
    else:
        target = literal(rest[0]) or "" if rest else ""
        if outer:
            kind, _, version = outer.partition("@")
            target = f"{kind}/{target}" if "@" in target else f"{kind}/{target}@{version}"
        value = next((inner for inner in walk(rest[-1]) if inner.type == "object"), None) if rest else None
    return Declaration(text(name), node, value, target, decorators)


def read_folder(folder: Path) -> Mapping[Path, BicepFile]:
    """Every Bicep file under a folder, by its resolved path."""
    return {
        path.resolve(): BicepFile(path, path.relative_to(folder.parent)) for path in sorted(folder.rglob("*.bicep"))
    }


def walk(node: Node) -> Iterator[Node]:
    """A node and everything in it, in the order of the text."""
    yield node
    for child in node.children:
        yield from walk(child)


def text(node: Node) -> str:
    """The text of a node."""
    return (node.text or b"").decode()


def literal(node: Node | None) -> str | None:
    """The value of a string, number or boolean that is written out; None of anything else."""
    if node is None:
        return None
    if node.type in {"number", "boolean"}:
        return text(node)
    if node.type != "string" or any(child.type == "interpolation" for child in node.named_children):
        return None
    return "".join(text(child)[1:] if child.type == "escape_sequence" else text(child) for child in node.named_children)


def properties(node: Node | None) -> Iterator[tuple[str | None, Node, Node]]:
    """Of an object: each key (None where it is computed), the node of the key, and the value."""
    for child in node.named_children if node is not None and node.type == "object" else ():
        if child.type == "object_property" and len(child.named_children) > 1:
            key, value = child.named_children[0], child.named_children[-1]
            yield (text(key) if key.type == "identifier" else literal(key)), key, value


def property_at(node: Node | None, *keys: str) -> Node | None:
    """The value at a path of keys in nested objects; None where it is not written out."""
    for wanted in keys:
        node = next((value for key, _, value in properties(node) if key == wanted), None)
    return node
