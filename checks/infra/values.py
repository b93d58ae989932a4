"""Values that follow from the text alone, through variables, parameters and modules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tree_sitter import Node

from checks.infra.modules import called_file, output_uses
from checks.infra.syntax import BicepFile, Declaration, literal, property_at, text


@dataclass(frozen=True, slots=True)
class Frame:
    """A file as it is deployed: by a module of another one, or at the start.

    Attributes:
        file: The file.
        module: What calls it.
        outer: Where that is.
    """

    file: BicepFile
    module: Declaration | None = None
    outer: "Frame | None" = None


def frames(main: BicepFile, files: Mapping[Path, BicepFile]) -> Iterator[Frame]:
    """Everything that a file deploys, itself first."""
    waiting = [Frame(main)]
    while waiting:
        frame = waiting.pop(0)
        yield frame
        for module in frame.file.modules.values():
            called = called_file(frame.file, module, files)
            if called is not None:
                waiting.append(Frame(called, module, frame))


def constant(node: Node | None, frame: Frame, files: Mapping[Path, BicepFile]) -> str | None:
    """The value of an expression where parameters have their defaults; None where only a deployment knows it."""
    if node is None or literal(node) is not None:
        return literal(node)
    found: str | None = None
    match node.type:
        case "string":
            parts = [
                constant(part.named_children[0], frame, files) if part.type == "interpolation" else text(part)
                for part in node.named_children
            ]
            found = None if None in parts else "".join(part for part in parts if part is not None)
        case "identifier":
            found = _named(text(node), frame, files)
        case "call_expression" if text(node.children[0]) == "string":
            found = constant(node.named_children[-1].named_children[0], frame, files)
        case "member_expression":
            found = _member(node, frame, files)
        case "object" if not node.named_children:
            found = "{}"
        case "ternary_expression" | "binary_expression":
            found = _operation(node, frame, files)
    return found


def _operation(node: Node, frame: Frame, files: Mapping[Path, BicepFile]) -> str | None:
    """The value of `a == b`, and of `a ? b : c`."""
    condition = constant(node.named_children[0], frame, files)
    if condition is None:
        return None
    if node.type == "ternary_expression":
        return constant(node.named_children[1 if condition == "true" else 2], frame, files)
    other = constant(node.named_children[1], frame, files) if node.children[1].type == "==" else None
    return None if other is None else str(condition == other).lower()


def _named(name: str, frame: Frame, files: Mapping[Path, BicepFile]) -> str | None:
    variable = frame.file.variables.get(name)
    if variable is not None:
        return constant(variable.value, frame, files)
    if frame.module is not None and frame.outer is not None:
        given = property_at(frame.module.value, "params", name)
        if given is not None:
            return constant(given, frame.outer, files)
    parameter = frame.file.parameters.get(name)
    return constant(parameter.value, frame, files) if parameter is not None else None


def _member(node: Node, frame: Frame, files: Mapping[Path, BicepFile]) -> str | None:
    for used, module_name, output in output_uses(node):
        module = frame.file.modules.get(module_name)
        called = called_file(frame.file, module, files) if module is not None and used == node else None
        if called is not None and output in called.outputs:
            return constant(called.outputs[output].value, Frame(called, module, frame), files)
    resource = frame.file.resources.get(text(node.named_children[0]))
    if resource is not None and text(node.named_children[-1]) == "name":
        return constant(property_at(resource.value, "name"), frame, files)
    return None
