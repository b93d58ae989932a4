"""`python -m status_core [FILE]`: read `$edgeAgent` twins, print the state of each deployment.

The input is one twin, an array of twins, or JSON Lines, from FILE or standard input. Each status is one line of JSON,
or a paragraph for people with --text. With --lint, twins and deployment manifests are checked for what edgeAgent would
refuse. Bad input is reported on standard error with its line number, the rest is still judged, and the exit code is 2.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from status_core.documents import BadInputError, Document, decode, documents
from status_core.evaluation import evaluate
from status_core.kinds import document_name, lint_document, not_a_manifest, not_an_agent_twin
from status_core.report import Summary, paragraph

OK: Final = 0
FOUND: Final = 1
BAD_INPUT: Final = 2
_PROGRESS_EVERY: Final = 1000
"""Print progress after this many twins."""


def main(arguments: list[str] | None = None) -> int:
    """Judge every twin in the input. Exit code: 0 if all is well, 1 if --lint found something, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m status_core", description=__doc__)
    parser.add_argument("file", nargs="?", help="JSON: an object, an array or JSON Lines (default: stdin)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--text", action="store_true", help="for people: a paragraph per device, causes at the end")
    form.add_argument("--lint", action="store_true", help="check twins or deployment manifests; 1 if anything is found")
    options = parser.parse_args(arguments)
    try:
        raw = Path(options.file).read_bytes() if options.file else sys.stdin.buffer.read()
        content = decode(raw)
    except OSError as error:
        return _complain(f"{options.file}: {error.strerror}")
    except BadInputError as error:
        return _complain(str(error))
    if options.lint:
        return _lint(documents(content, not_a_manifest))
    found = documents(content, not_an_agent_twin)
    return _print_report(found) if options.text else _print_json(found)


def _print_json(found: Iterable[Document | BadInputError]) -> int:
    code = OK
    for document in found:
        if isinstance(document, BadInputError):
            code = _complain(str(document))
        else:
            print(json.dumps(evaluate(document.value).as_json()))
    return code


def _print_report(found: Iterable[Document | BadInputError]) -> int:
    code, summary, count, now = OK, Summary(), 0, datetime.now(UTC)
    for document in found:
        if isinstance(document, BadInputError):
            code = _complain(str(document))
            continue
        count += 1
        status = evaluate(document.value, now=now)
        summary.add(status)
        _print([*paragraph(status, now), ""])
        if count % _PROGRESS_EVERY == 0:
            print(f"{count:,} twins", file=sys.stderr)
    if count:
        _print(summary.lines())
    return code


def _lint(found: Iterable[Document | BadInputError]) -> int:
    code = OK
    checked = list(found)
    for document in checked:
        if isinstance(document, BadInputError):
            code = _complain(str(document))
            continue
        name = f"{document_name(document.value) or document.place}: " if len(checked) > 1 else ""
        findings = [f"{name}{finding}" for finding in lint_document(document.value)]
        _print(findings)
        code = max(code, FOUND if findings else OK)
    return code


def _print(lines: Iterable[str]) -> None:
    encoding = sys.stdout.encoding
    for line in lines:
        print(line.encode(encoding, "backslashreplace").decode(encoding))


def _complain(message: str) -> int:
    print(message, file=sys.stderr)
    return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
