"""Modules and the file of parameters: what is handed over must be what the other side declares."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tree_sitter import Node

from checks.infra.syntax import BicepFile, Declaration, Finding, properties, property_at, text, walk


def module_findings(file: BicepFile, files: Mapping[Path, BicepFile]) -> Iterator[Finding]:
    """Of each module: a file that is not there, parameters and outputs that do not exist, parameters left out."""
    for module in file.modules.values():
        called = called_file(file, module, files)
        if called is None:
            yield file.finding(module.node, f"module {module.name!r}: there is no file {module.target!r}")
            continue
        if called.scope != file.scope and property_at(module.value, "scope") is None:
            yield file.finding(module.node, f"module {module.name!r} needs a scope: it deploys to a {called.scope}")
        given = {key: node for key, node, _ in properties(property_at(module.value, "params"))}
        for name, node in given.items():
            if name not in called.parameters:
                yield file.finding(node, f"module {module.name!r} has no parameter {name!r}")
        for name in sorted(_required(called) - given.keys()):
            yield file.finding(module.node, f"module {module.name!r} is not given its parameter {name!r}")
    for node, module_name, output in output_uses(file.root):
        module_used = file.modules.get(module_name)
        called = called_file(file, module_used, files) if module_used else None
        if called is not None and output not in called.outputs:
            yield file.finding(node, f"module {module_name!r} has no output {output!r}")


def called_file(file: BicepFile, module: Declaration, files: Mapping[Path, BicepFile]) -> BicepFile | None:
    """The file of a module; None where it is not among the files."""
    return files.get((file.path.parent / module.target).resolve())


def output_uses(root: Node) -> Iterator[tuple[Node, str, str]]:
    """Each `module.outputs.name` under a node: the node, the module, the output."""
    for node in walk(root):
        if node.type == "member_expression" and node.named_child_count > 1:
            of, name = node.named_children[0], node.named_children[-1]
            if of.type == "member_expression" and text(of.named_children[-1]) == "outputs":
                yield node, text(of.named_children[0]), text(name)


def parameters_file_findings(path: Path, shown: Path, main: BicepFile) -> Iterator[Finding]:
    """The parameters of `main.parameters.json` against those of `main.bicep`.

    azd keeps the outputs of a deployment in the same environment that fills in `${NAME}` here, so an output of that
    name would be an input of the next deployment.
    """
    content = path.read_text()
    lines = content.splitlines()

    def line_of(found: str) -> int:
        return next((number for number, line in enumerate(lines, 1) if found in line), 1)

    given: Mapping[str, object] = json.loads(content)["parameters"]
    for name in given:
        if name not in main.parameters:
            yield Finding(shown, line_of(f'"{name}"'), f"{main.shown} has no parameter {name!r}")
    for name in sorted(_required(main) - given.keys()):
        yield Finding(shown, 1, f"the parameter {name!r} of {main.shown} is not given")
    for variable in dict.fromkeys(re.findall(r"\$\{(\w+)", content)):
        if variable in main.outputs:
            yield main.finding(main.outputs[variable].node, f"output {variable!r} is an input of {shown} too")


def _required(file: BicepFile) -> set[str]:
    return {name for name, declared in file.parameters.items() if declared.value is None and not declared.is_nullable}
