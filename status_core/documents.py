"""Splits an input into JSON documents, one or many, each with its place."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

# Errors name only the kind of a value, never its content: it may hold a secret.
_KINDS: Final[dict[type, str]] = {
    list: "an array",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class Document:
    """One JSON object, and its place in the input."""

    place: str
    value: dict[str, Any]


class BadInputError(Exception):
    """Something in the input is not a valid document. The message gives the line and the problem."""


def decode(raw: bytes) -> str:
    """Decode an input from UTF-8 or, as PowerShell's `>` writes it, UTF-16.

    Raises:
        BadInputError: The input is neither.
    """
    encoding = json.detect_encoding(raw)
    try:
        return raw.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        # The error's offset does not count the byte order mark.
        line = error.object[: error.start].decode(encoding).count("\n") + 1
        raise BadInputError(f"line {line}: not {encoding.removesuffix('-sig').upper()}") from None


def documents(content: str, refused: Callable[[dict[str, Any]], str | None]) -> Iterator[Document | BadInputError]:
    """Yield each document of an object, an array or JSON Lines, or an error in its place.

    Args:
        content: The input.
        refused: Returns why an object is not what is expected; None if it is.
    """

    def checked(value: Any, place: str) -> Document | BadInputError:
        if not isinstance(value, dict):
            return BadInputError(f"{place}: a twin is a JSON object, not {_KINDS[type(value)]}")
        problem = refused(value)
        return Document(place, value) if problem is None else BadInputError(f"{place}: {problem}")

    if not content.strip():
        yield BadInputError("line 1: the input is empty")
        return
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError) as error:
        lines = [(n, _line(n, line)) for n, line in enumerate(content.split("\n"), 1) if line.strip()]
        # If the first or the last line is an object by itself, these are JSON Lines.
        if any(isinstance(value, dict) for _, value in (lines[0], lines[-1])):
            for number, value in lines:
                yield value if isinstance(value, BadInputError) else checked(value, f"line {number}")
        else:
            yield BadInputError(_not_json(error, 1))
        return
    if not isinstance(whole, list):
        blank = len(content) - len(content.lstrip())
        yield checked(whole, f"line {content[:blank].count('\n') + 1}")
    elif all(isinstance(value, dict) and refused(value) is None for value in whole):
        yield from (Document(f"element {number}", value) for number, value in enumerate(whole, 1))
    else:  # find the place of each element only if a message needs it
        yield from (checked(value, place) for value, place in _elements(content))


def _elements(content: str) -> Iterator[tuple[Any, str]]:
    """Yield each element of a valid JSON array, with its place."""
    decoder = json.JSONDecoder()
    line, counted, index, at = 1, 0, 0, content.index("[") + 1
    while True:
        while content[at] == "," or content[at].isspace():
            at += 1
        if content[at] == "]":
            return
        line, counted, index = line + content.count("\n", counted, at), at, index + 1
        value, at = decoder.raw_decode(content, at)
        yield value, f"line {line}: element {index}"


def _line(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return BadInputError(_not_json(error, number))


def _not_json(error: Exception, line: int) -> str:
    """Return the place and the cause, without any part of the input."""
    if isinstance(error, json.JSONDecodeError):
        return f"line {line + error.lineno - 1}: not JSON: {error.msg} (column {error.colno})"
    cause = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return f"line {line}: not JSON: {cause}"
