"""Names that a file uses and nothing declares, and names that it declares and nothing uses."""

from collections.abc import Iterator
from typing import Final

from tree_sitter import Node

from checks.infra.syntax import BicepFile, Finding, property_at, text, walk

FUNCTIONS: Final = frozenset(
    """
    any array base64 base64ToJson base64ToString bool concat contains dateTimeAdd dateTimeFromEpoch dateTimeToEpoch
    deployer deployment empty endsWith environment extensionResourceId filter first flatten format getSecret groupBy
    guid indexOf int intersection items join json last lastIndexOf length loadFileAsBase64 loadJsonContent
    loadTextContent loadYamlContent managementGroup managementGroupResourceId map mapValues max min newGuid objectKeys
    padLeft parseCidr pickZones range readEnvironmentVariable reduce reference replace resourceGroup resourceId
    shallowMerge skip sort split startsWith string subscription subscriptionResourceId substring take tenant
    tenantResourceId toLower toObject toUpper trim union uniqueString uri uriComponent uriComponentToString utcNow
    """.split()  # noqa: SIM905 (a list of words)
)
"""The functions of Bicep that a template can call by name."""

DECORATORS: Final = frozenset(
    """
    allowed batchSize description discriminator export maxLength maxValue metadata minLength minValue onlyIfNotExists
    retryOn sealed secure
    """.split()  # noqa: SIM905 (a list of words)
)
NAMESPACES: Final = frozenset({"az", "sys"})

_BOUND: Final = frozenset({"identifier", "loop_variable", "loop_enumerator"})
_NAMED_FIRST: Final = frozenset(
    {
        "object_property",
        "parameter_declaration",
        "variable_declaration",
        "resource_declaration",
        "module_declaration",
        "output_declaration",
    }
)


def name_findings(file: BicepFile) -> Iterator[Finding]:
    """Unresolved and unused names of a file."""
    declared = {
        **file.parameters,
        **file.variables,
        **file.resources,
        **file.modules,
    }
    used: set[str] = set()
    for node, local_names in _references(file.root, frozenset()):
        name = text(node)
        parent = node.parent
        if parent is not None and parent.type == "call_expression" and node == parent.children[0]:
            known = DECORATORS if parent.parent is not None and parent.parent.type == "decorator" else FUNCTIONS
            if name not in known:
                yield file.finding(node, f"there is no function {name!r}")
        elif name in declared:
            used.add(name)
        elif name not in local_names | NAMESPACES:
            yield file.finding(node, f"nothing declares {name!r}")
    yield from _short_name_findings(file)
    for name, declaration in {**file.parameters, **file.variables}.items():
        if name not in used:
            yield file.finding(declaration.node, f"{name!r} is declared and not used")
        if declaration.node.type == "parameter_declaration" and "description" not in declaration.decorators:
            yield file.finding(declaration.node, f"parameter {name!r} has no @description")


def _short_name_findings(file: BicepFile) -> Iterator[Finding]:
    """Names of storage accounts that may be too short, which the compiler warns of (BCP334)."""
    for resource in file.resources.values():
        name = property_at(resource.value, "name")
        if resource.target.startswith("Microsoft.Storage/storageAccounts@") and name is not None:
            names = {text(node) for node in walk(name) if node.type == "identifier"}
            for parameter in (file.parameters[each] for each in sorted(names & file.parameters.keys())):
                if "existing" not in text(resource.node).partition("{")[0] and "minLength" not in parameter.decorators:
                    yield file.finding(name, f"the name may be too short: {parameter.name!r} has no @minLength")


def _references(node: Node, local_names: frozenset[str]) -> Iterator[tuple[Node, frozenset[str]]]:
    """Each identifier that refers to something, with the names that loops and lambdas around it declare."""
    if node.type == "identifier":
        yield node, local_names
        return
    children = node.named_children
    if node.type in _NAMED_FIRST and children and children[0].type == "identifier":
        children = children[1:]
    elif node.type in {"for_statement", "lambda_expression"}:
        bound, children = children[0], children[1:]
        local_names |= {text(inner) for inner in walk(bound) if inner.type in _BOUND}
    for child in children:
        yield from _references(child, local_names)
