"""Queries of logs, analysed by Microsoft's own language service: syntax, tables, columns, and our metrics.

The language service comes from npm and runs under Node.js; all queries go through one process, which takes seconds to
start and ends with this one.
"""

import atexit
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Final, cast

from checks.infra.log_tables import BLADES, WORKSPACE, Tables
from checks.infra.syntax import Finding
from status_app.telemetry.meters import METRICS

ATTRIBUTES: Final = {metric.name: metric.attributes for metric in METRICS}
_ANALYZER: Final = Path(__file__).with_name("kql.js")
_METRIC: Final = re.compile(r'\bname == "([^"]*)"', re.IGNORECASE)
_ATTRIBUTE: Final = re.compile(r'\b(?:Properties|customDimensions)\["([^"]*)"\]')
_GRAIN: Final = "{TimeRange:grain}"


@dataclass(frozen=True, slots=True)
class Query:
    """A query, and where it is.

    Attributes:
        path: The file, as findings name it.
        line: Line on which it begins, from 1.
        text: The query.
        tables: The tables that it can ask.
        has_lines: Whether each of its lines is one of the file: of a query in a string of JSON or Bicep none is.
    """

    path: Path
    line: int
    text: str
    tables: Tables
    has_lines: bool = False


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the language service says of a query.

    Attributes:
        problems: Place in the text, and what is wrong there.
        columns: The columns of the result.
    """

    problems: Sequence[tuple[int, str]]
    columns: Sequence[str]


class AnalyzerError(Exception):
    """The language service does not answer."""


def analyze(queries: Sequence[Query]) -> Sequence[Analysis]:
    """Have each query analysed.

    Raises:
        AnalyzerError: Node.js has not the language service.
    """
    return [_analyzed(json.dumps({"query": query.text, "tables": query.tables})) for query in queries]


@cache
def _analyzed(asked: str) -> Analysis:
    to_analyzer, from_analyzer = _analyzer()
    try:
        to_analyzer.write(f"{asked}\n")
        to_analyzer.flush()
        found = json.loads(from_analyzer.readline())
    except (BrokenPipeError, json.JSONDecodeError) as error:
        raise AnalyzerError("the language service ended: Node.js has printed why; or run `npm ci`") from error
    return Analysis([(problem["start"], problem["message"]) for problem in found["problems"]], found["columns"])


@cache
def _analyzer() -> tuple[IO[str], IO[str]]:
    """What the running language service reads, and what it writes."""
    process = subprocess.Popen(["node", str(_ANALYZER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603, S607 (our own script, node of the PATH)
    atexit.register(process.communicate)  # which ends what it reads
    return cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)  # both are pipes


def query_findings(queries: Sequence[Query]) -> Iterator[Finding]:
    """What is wrong with queries, asked of the tables that they are written for."""
    for query, analysis in zip(queries, analyze(queries), strict=True):
        for start, message in analysis.problems:
            line = query.line + query.text[:start].count("\n") * query.has_lines
            yield Finding(query.path, line, f"a query is wrong: {message}")
        yield from _metric_findings(query)


def _metric_findings(query: Query) -> Iterator[Finding]:
    """Metrics that the app does not send, and attributes that none of those in the query has."""
    metrics = _METRIC.findall(query.text)
    for metric in metrics:
        if metric not in ATTRIBUTES:
            yield Finding(query.path, query.line, f"the app sends no metric {metric!r}, which a query asks for")
    known = {attribute for metric in metrics for attribute in ATTRIBUTES.get(metric, ())}
    for attribute in _ATTRIBUTE.findall(query.text) if metrics else ():
        if attribute not in known:
            yield Finding(query.path, query.line, f"no metric of a query has the attribute {attribute!r}")


def workbook_queries(path: Path, shown: Path) -> Iterator[Query]:
    """The queries of a workbook; all of them ask the workspace."""
    content = path.read_text()
    for written in re.findall(r'"query": ("(?:[^"\\]|\\.)*")', content):
        line = content[: content.index(written)].count("\n") + 1
        yield Query(shown, line, json.loads(written).replace(_GRAIN, "5m"), WORKSPACE)


def document_queries(path: Path, shown: Path) -> Iterator[Query | Finding]:
    """The queries of a page: its blocks of `kusto`. A finding where one does not say which blade it is for."""
    content = path.read_text()
    for block in re.finditer(r"^```kusto\n(.*?)^```", content, re.MULTILINE | re.DOTALL):
        line = content[: block.start(1)].count("\n") + 1
        first = block[1].partition("\n")[0]
        tables = next((tables for mark, tables in BLADES.items() if first.startswith(mark)), None)
        if tables is None:
            yield Finding(shown, line, f"a query does not say which blade it is for: begin it with one of {[*BLADES]}")
        else:
            # Several queries in one block are parted by empty lines.
            for part in re.finditer(r"(?:.+\n)+", block[1]):
                at = line + block[1][: part.start()].count("\n")
                yield Query(shown, at, part[0], tables, has_lines=True)
