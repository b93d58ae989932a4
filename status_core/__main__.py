"""`python -m status_core [FILE]`: twins in, one status JSON a line out.

The input is one twin, an array of twins, or JSON Lines; standard input where no file is named. Bad input is
told on standard error with its line, the rest is still judged, and the exit code is 2.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from status_core.evaluation import evaluate

# What stands in a twin's place is told by its kind, without a piece of it: it may hold a secret.
_KINDS: Final[dict[type, str]] = {
    list: "an array",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


class BadInputError(Exception):
    """Something in the input is no twin. The text names the line and what is wrong there."""


def main(arguments: list[str] | None = None) -> int:
    """Judge every twin of the input; 0 where all were twins, 2 where something was not."""
    parser = argparse.ArgumentParser(prog="python -m status_core", description=__doc__)
    parser.add_argument("file", nargs="?", help="twin JSON: object, array or JSON Lines (default: stdin)")
    file = parser.parse_args(arguments).file
    try:
        raw = Path(file).read_bytes() if file else sys.stdin.buffer.read()
        content = raw.decode("utf-8-sig")
    except OSError as error:
        return _complain(f"{file}: {error.strerror}")
    except UnicodeDecodeError as error:
        return _complain(f"line {raw.count(b'\n', 0, error.start) + 1}: not UTF-8")
    code = 0
    for twin in _twins(content):
        if isinstance(twin, BadInputError):
            code = _complain(str(twin))
        else:
            print(json.dumps(evaluate(twin).as_json(), allow_nan=False))
    return code


def _complain(message: str) -> int:
    print(message, file=sys.stderr)
    return 2


def _twins(content: str) -> Iterator[dict[str, Any] | BadInputError]:
    """Each twin of the input, or what is wrong in its place."""
    if not content.strip():
        yield BadInputError("line 1: no twin in the input")
        return
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError) as error:
        lines = [(number, line) for number, line in enumerate(content.split("\n"), 1) if line.strip()]
        # More than one line, and the first or the last is a twin by itself: these are JSON Lines.
        ends = (_line(*lines[0]), _line(*lines[-1]))
        if len(lines) > 1 and any(isinstance(end, dict) for end in ends):
            yield from (_line(number, line) for number, line in lines)
        else:
            yield BadInputError(_not_json(error, 1))
        return
    if isinstance(whole, dict):
        yield whole
    elif isinstance(whole, list):
        # Where each element stands is only looked for where one has to be told.
        yield from whole if all(isinstance(item, dict) for item in whole) else _elements(content)
    else:
        blank = len(content) - len(content.lstrip())
        yield _twin(whole, f"line {content.count('\n', 0, blank) + 1}")


def _elements(content: str) -> Iterator[dict[str, Any] | BadInputError]:
    """Each element of an array that is known to be JSON, or what is wrong in its place."""
    decoder = json.JSONDecoder()
    line, counted, index, at = 1, 0, 0, content.index("[") + 1
    while True:
        while content[at] in " \t\r\n,":
            at += 1
        if content[at] == "]":
            return
        line, counted, index = line + content.count("\n", counted, at), at, index + 1
        value, at = decoder.raw_decode(content, at)
        yield _twin(value, f"line {line}: element {index}")


def _line(number: int, line: str) -> dict[str, Any] | BadInputError:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return BadInputError(_not_json(error, number))
    return _twin(value, f"line {number}")


def _twin(value: Any, place: str) -> dict[str, Any] | BadInputError:
    if isinstance(value, dict):
        return value
    return BadInputError(f"{place}: a twin is a JSON object, not {_KINDS[type(value)]}")


def _not_json(error: Exception, line: int) -> str:
    """The place and the cause, and again no piece of the input."""
    if isinstance(error, json.JSONDecodeError):
        return f"line {line + error.lineno - 1}: not JSON: {error.msg} (column {error.colno})"
    cause = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return f"line {line}: not JSON: {cause}"


if __name__ == "__main__":
    sys.exit(main())
