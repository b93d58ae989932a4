"""Role assignments: each role must be one that is known, and be called what it is."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from checks.infra.syntax import BicepFile, Finding, literal, property_at, text, walk

ROLES: Final[Mapping[str, str]] = {
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "2b629674-e913-4c01-ae53-ef4638d8f975": "Azure Event Hubs Data Sender",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "76199698-9eea-4c19-bc75-cec21354c6b6": "Storage Table Data Reader",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "a638d3c7-ab3a-418d-83e6-5f17a39d4fde": "Azure Event Hubs Data Receiver",
    "b447c946-2db7-41ec-983d-d8bf3b1c77e3": "IoT Hub Data Reader",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "d5a91429-5739-47e2-a06b-3470a27159e7": "EventGrid Data Sender",
}
"""The built-in roles that the app may need, by id."""

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def role_findings(file: BicepFile) -> Iterator[Finding]:
    """Ids that are no known role, variables that call one by another name, assignments without a role or a scope."""
    for variable in file.variables.values():
        role = literal(variable.value) or ""
        if role in ROLES and variable.name.lower() != ROLES[role].replace(" ", "").lower():
            yield file.finding(variable.node, f"{variable.name!r} is the id of the role {ROLES[role]!r}")
    for node in walk(file.root):
        found = literal(node) if node.type == "string" else None
        if found is not None and _ID.fullmatch(found) and found not in ROLES:
            yield file.finding(node, f"{found} is the id of no known role")
    for resource in file.resources.values():
        if not resource.target.startswith("Microsoft.Authorization/roleAssignments@"):
            continue
        role_node = property_at(resource.value, "properties", "roleDefinitionId")
        names = {text(node) for node in walk(role_node) if node.type == "identifier"} if role_node else set()
        ids = {literal(file.variables[name].value) for name in names & file.variables.keys()}
        if role_node is None or not ids & ROLES.keys():
            yield file.finding(role_node or resource.node, f"{resource.name!r} gives no role that can be told")
        if property_at(resource.value, "scope") is None:
            yield file.finding(resource.node, f"{resource.name!r} has no scope, so the role is on the whole group")
