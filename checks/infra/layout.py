"""How files are laid out: what `bicep format` would change, as far as the lines show it."""

import re
from collections.abc import Iterator

from checks.infra.syntax import BicepFile, Finding, text, walk


def layout_findings(file: BicepFile) -> Iterator[Finding]:
    """Lines and brackets that the formatter would change."""
    lines = file.path.read_text().split("\n")
    for number, line in enumerate(lines, 1):
        if line != line.rstrip() or "\t" in line or re.match(r" (?:  )*\S", line):
            yield Finding(file.shown, number, "bicep format: two spaces for each level, and none at the end of a line")
        if not line and number > 1 and not lines[number - 2]:
            yield Finding(file.shown, number, "bicep format: one empty line at most, and one line break at the end")
    for node in walk(file.root):
        inner = text(node)[1:-1]
        if node.type == "array" and "\n" not in inner and inner != inner.strip():
            yield file.finding(node, "bicep format: no space inside brackets")
