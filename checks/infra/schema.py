"""Resource types: the versions of their API that are known to exist, and the properties that they have.

The properties are those of the models of the azure-mgmt packages, of which some follow an API that is newer than the
version a file asks for: what they do not know exists in no version up to theirs.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final, Literal

import azure.mgmt.applicationinsights.v2020_02_02.models as insights
import azure.mgmt.applicationinsights.v2022_04_01.models as workbooks
import azure.mgmt.authorization.v2022_04_01.models as authorization
import azure.mgmt.eventgrid.models as eventgrid
import azure.mgmt.eventhub.models as eventhub
import azure.mgmt.iothub.v2023_06_30.models as iothub
import azure.mgmt.keyvault.models as keyvault
import azure.mgmt.loganalytics.models as loganalytics
import azure.mgmt.monitor.models as monitor
import azure.mgmt.msi.v2024_11_30.models as msi
import azure.mgmt.resource.resources.models as resources
import azure.mgmt.storage.models as storage
import azure.mgmt.web.models as web
from tree_sitter import Node

from checks.infra.syntax import BicepFile, Declaration, Finding, properties, text, walk

MODELS: Final[Mapping[str, tuple[type, ...]]] = {
    "Microsoft.Authorization/roleAssignments@2022-04-01": (authorization.RoleAssignmentCreateParameters,),
    "Microsoft.Devices/IotHubs@2023-06-30": (iothub.IotHubDescription,),
    "Microsoft.EventGrid/topics@2025-02-15": (eventgrid.Topic,),
    "Microsoft.EventHub/namespaces@2026-01-01": (eventhub.EHNamespace,),
    "Microsoft.EventHub/namespaces/eventhubs@2026-01-01": (eventhub.Eventhub,),
    "Microsoft.EventHub/namespaces/eventhubs/consumergroups@2026-01-01": (eventhub.ConsumerGroup,),
    "Microsoft.Insights/actionGroups@2023-01-01": (monitor.ActionGroupResource,),
    "Microsoft.Insights/components@2020-02-02": (insights.ApplicationInsightsComponent,),
    "Microsoft.Insights/metricAlerts@2026-01-01": (monitor.MetricAlertResource,),
    "Microsoft.Insights/scheduledQueryRules@2026-03-01": (monitor.ScheduledQueryRuleResource,),
    "Microsoft.Insights/workbooks@2023-06-01": (workbooks.Workbook,),
    "Microsoft.KeyVault/vaults@2024-11-01": (keyvault.Vault,),
    "Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30": (msi.Identity,),
    "Microsoft.OperationalInsights/workspaces@2025-07-01": (loganalytics.Workspace,),
    "Microsoft.Resources/resourceGroups@2025-04-01": (resources.ResourceGroup,),
    "Microsoft.Storage/storageAccounts@2025-06-01": (storage.StorageAccountCreateParameters, storage.StorageAccount),
    "Microsoft.Storage/storageAccounts/blobServices@2025-06-01": (storage.BlobServiceProperties,),
    "Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01": (storage.BlobContainer,),
    "Microsoft.Storage/storageAccounts/tableServices@2025-06-01": (storage.TableServiceProperties,),
    "Microsoft.Storage/storageAccounts/tableServices/tables@2025-06-01": (storage.Table,),
    "Microsoft.Web/serverfarms@2025-03-01": (web.AppServicePlan,),
    "Microsoft.Web/sites@2025-03-01": (web.Site,),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01": (web.CsmPublishingCredentialsPoliciesEntity,),
    "Microsoft.Web/sites/config@2025-03-01": (web.StringDictionary,),
}
"""What a resource of each type and version takes, and, where that is another model, what can be read of it. Each
version is one that the Bicep compiler knows, and not a preview."""

_OF_BICEP: Final = frozenset({"name", "parent", "scope", "dependsOn"})
_READ: Final = frozenset({"id", "name", "type", "apiVersion"})


@dataclass(frozen=True, slots=True)
class Shape:
    """What one place holds.

    Attributes:
        many: Whether it is a list of them, or an object with keys of any name.
        fields: The properties; None: a plain value, or anything.
    """

    many: Literal["", "list", "map"]
    fields: Callable[[], Mapping[str, "Shape"]] | None


def schema_findings(file: BicepFile) -> Iterator[Finding]:
    """Types and versions that are not known, properties that are set or read and do not exist."""
    for resource in file.resources.values():
        models = MODELS.get(resource.target)
        if models is None:
            yield file.finding(resource.node, f"{resource.target!r} is no type with a version that is known to exist")
        elif resource.value is not None:
            yield from _unknown(file, resource.value, _shape(models[0]), resource.target, _OF_BICEP)
    for node in walk(file.root):
        if node.type == "member_expression" and (node.parent is None or node.parent.type != "member_expression"):
            yield from _unknown_read(file, node)


def _unknown(
    file: BicepFile, node: Node, shape: Shape, place: str, also: frozenset[str] = frozenset()
) -> Iterator[Finding]:
    """The properties in an expression that its place does not have; a name or a call is not looked into."""
    if node.type != "object" or shape.many or shape.fields is None:
        for value, inner in _inside(node, shape):
            yield from _unknown(file, value, inner, place)
        return
    known = shape.fields()
    for key, key_node, value in properties(node):
        if key is not None and key in known:
            yield from _unknown(file, value, known[key], f"{place}, {key}")
        elif key is not None and key not in also:
            yield file.finding(key_node, f"there is no property {key!r} in {place}")


def _inside(node: Node, shape: Shape) -> Sequence[tuple[Node, Shape]]:
    """The values of one place, each with its own shape."""
    one = Shape("", shape.fields)
    match node.type, shape.many:
        case "object", "map":
            return [(value, one) for _, _, value in properties(node)]
        case "array", "list":
            return [(value, one) for value in node.named_children]
        case "for_statement", "list":
            return [(node.named_children[-1], one)]
        case "ternary_expression", _:
            return [(value, shape) for value in node.named_children[1:]]
    return []


def _unknown_read(file: BicepFile, node: Node) -> Iterator[Finding]:
    """Of `resource.a.b`: the first name that the resource does not have."""
    chain: list[Node] = []
    while node.type == "member_expression":
        node, name = node.named_children[0], node.named_children[-1]
        chain.insert(0, name)
    resource: Declaration | None = file.resources.get(text(node)) if node.type == "identifier" else None
    models = MODELS.get(resource.target) if resource is not None else None
    called = chain[-1].parent if chain else None
    is_call = called is not None and called.parent is not None and called.parent.type == "call_expression"
    if models is None or text(chain[0]) in _READ or is_call:
        return
    shape = _shape(models[-1])
    for name in chain:
        if shape.fields is None or shape.many:
            return
        known = shape.fields()
        if text(name) not in known:
            yield file.finding(name, f"there is no property {text(name)!r} to read of {text(node)!r}")
            return
        shape = known[text(name)]


def _shape(model: type) -> Shape:
    return Shape("", partial(_fields, model))


@cache
def _fields(model: type) -> Mapping[str, Shape]:
    """The properties of a model, and of those that stand for it, by their names in JSON."""
    found: dict[str, Shape] = {}
    for part in (model, *_variants(model)):
        found |= _mapped(part) if hasattr(part, "_attribute_map") else _annotated(part)
    return found


def _variants(model: type) -> Iterator[type]:
    variants: list[type] = model.__subclasses__()
    for variant in variants:
        yield variant
        yield from _variants(variant)


def _mapped(model: Any) -> Mapping[str, Shape]:
    """The older models: a table of paths, such as `properties.scopes`, and types, such as `[str]`."""
    tree: dict[str, Any] = {}
    for entry in model._attribute_map.values():  # noqa: SLF001 (the one place that has the names in JSON)
        *outer, last = (part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", entry["key"]))
        place = tree
        for part in outer:
            place = place.setdefault(part, {})
        kind: str = entry["type"]
        many: Literal["", "list", "map"] = "list" if kind.startswith("[") else "map" if kind.startswith("{") else ""
        place[last] = Shape(many, _named(model, kind.strip("[]{}")))
    return _closed(tree)


def _closed(tree: Mapping[str, Any]) -> Mapping[str, Shape]:
    return {
        name: found if isinstance(found, Shape) else Shape("", partial(_closed, found)) for name, found in tree.items()
    }


def _annotated(model: type) -> Mapping[str, Shape]:
    """The newer models: descriptors with the name in JSON, and annotations."""
    found: dict[str, Shape] = {}
    for part in reversed(model.__mro__):
        for attribute, kind in getattr(part, "__annotations__", {}).items():
            field = vars(part).get(attribute)
            if type(field).__name__ == "_RestField":
                name = getattr(field, "_rest_name_input", None) or attribute
                many: Literal["", "list", "map"] = "map" if "dict[" in repr(kind) else ""
                many = "list" if "list[" in repr(kind).partition("dict[")[0] else many
                inner = re.search(r"_models\.(\w+)", repr(kind))
                found[name] = Shape(many, _named(model, inner[1]) if inner else None)
    return found


def _named(model: type, name: str) -> Callable[[], Mapping[str, Shape]] | None:
    """The properties of the model of that name beside another; None where it is none, such as `str` or an enum."""
    package = __import__(model.__module__.rpartition(".")[0], fromlist=["models"])
    named = getattr(package, name, None)
    is_model = isinstance(named, type) and not hasattr(named, "__members__")
    return partial(_fields, named) if is_model and isinstance(named, type) else None
