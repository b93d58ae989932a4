"""Alert rules over logs: what Azure would refuse as they are made, and what would make one never fire."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tree_sitter import Node

from checks.infra.kql import Query, analyze
from checks.infra.log_tables import WORKSPACE
from checks.infra.syntax import BicepFile, Finding, property_at, text
from checks.infra.values import Frame, constant, frames

_FIRES_BELOW: Final = frozenset({"LessThan", "LessThanOrEqual"})
_ONE_ROW: Final = re.compile(r"\|\s*summarize\b(?:(?!\bby\b)[^|])*$")
_NO_COLUMN: Final = {"Type": "string"}
"""A table of which nothing is known but a column that no rule asks for."""


@dataclass(frozen=True, slots=True)
class LogAlert:
    """A rule over logs, with the constants of the text filled in.

    Attributes:
        name: How the rule is called in Azure, where the text says it.
        query: Its query.
        measure: The column that is compared.
        dimensions: The columns by which it is split.
        operator: How it is compared.
    """

    name: str
    query: Query
    measure: str
    dimensions: tuple[str, ...]
    operator: str


def log_alerts(main: BicepFile, files: Mapping[Path, BicepFile]) -> Iterator[LogAlert]:
    """Every rule over logs, those of a loop one by one."""
    for frame in frames(main, files):
        for resource in frame.file.resources.values():
            if resource.target.startswith("Microsoft.Insights/scheduledQueryRules@"):
                for item in _items(resource.node, frame):
                    yield _log_alert(resource.value, item, frame, files)


def log_alert_findings(main: BicepFile, files: Mapping[Path, BicepFile]) -> Iterator[Finding]:
    """Rules that an empty workspace refuses, that are silent where they should not be, that compare nothing."""
    alerts = list(log_alerts(main, files))
    without_tables = [replace(alert.query, tables={}) for alert in alerts]
    without_columns = [replace(alert.query, tables=dict.fromkeys(WORKSPACE, _NO_COLUMN)) for alert in alerts]
    analyses = analyze([alert.query for alert in alerts] + without_tables + without_columns)
    kinds = [analyses[at : at + len(alerts)] for at in range(0, len(analyses), len(alerts))] if alerts else [[]] * 3
    for alert, whole, no_tables, no_columns in zip(alerts, *kinds, strict=True):
        place = alert.query.path, alert.query.line
        missing = [message for _, message in no_tables.problems if "fuzzy" not in message]
        missing = missing or [message for _, message in no_columns.problems]
        if missing and not whole.problems:
            yield Finding(*place, f"a workspace without telemetry refuses the rule {alert.name!r}: {missing[0]}")
        if alert.operator in _FIRES_BELOW and not _ONE_ROW.search(alert.query.text):
            yield Finding(*place, f"without rows the rule {alert.name!r} does not fire: end it with a summarize of all")
        for column in (alert.measure, *alert.dimensions):
            if column not in whole.columns and not whole.problems:
                yield Finding(*place, f"the rule {alert.name!r} needs the column {column!r}, which its query has not")


def _items(node: Node, frame: Frame) -> list[tuple[str, Node] | None]:
    """Of a loop: its variable and each item; of a resource without one, None."""
    loop = next((child for child in node.named_children if child.type == "for_statement"), None)
    if loop is None:
        return [None]
    variable, over, *_ = loop.named_children
    declared = frame.file.variables.get(text(over))
    items = declared.value if declared is not None else over
    return [(text(variable), item) for item in items.named_children if item.type == "object"] if items else []


def _log_alert(
    value: Node | None, item: tuple[str, Node] | None, frame: Frame, files: Mapping[Path, BicepFile]
) -> LogAlert:
    def told(node: Node | None) -> Node | None:
        """What an expression means: a property of the item of the loop, or itself."""
        if item is not None and node is not None and text(node).startswith(f"{item[0]}."):
            return property_at(item[1], text(node).partition(".")[2])
        return node

    def known(node: Node | None) -> str:
        return constant(told(node), frame, files) or ""

    criteria = property_at(value, "properties", "criteria", "allOf")
    criterion = criteria.named_children[0] if criteria is not None else None
    query = told(property_at(criterion, "query"))
    split = told(property_at(criterion, "dimensions"))
    place = query or value
    return LogAlert(
        name=constant(property_at(item[1] if item else value, "name"), frame, files) or "",
        query=Query(frame.file.shown, place.start_point.row + 1 if place else 1, known(query), WORKSPACE),
        measure=known(property_at(criterion, "metricMeasureColumn")),
        dimensions=tuple(known(property_at(one, "name")) for one in (split.named_children if split else ())),
        operator=known(property_at(criterion, "operator")),
    )
