"""Checks single values of a manifest the way edgeAgent reads them. Each check returns a problem, or None."""

import json
import re
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, Final

from status_core.create_options import part_number
from status_core.lenient_json import is_object
from status_core.reading import clean, scalar

_UPSTREAM: Final = "$upstream"
_NEWEST_SCHEMA: Final = (1, 1, 0, -1)
"""1.1.0, as .NET's Version holds it (IoTHub/EdgeAgentConnection.cs)."""
_VERSION_PARTS: Final = (2, 3, 4)

_DECODER: Final = json.JSONDecoder(strict=False)
_HIGHEST_ORDER: Final = 2**32 - 1
_USE_ORDER: Final = f"use 0 to {_HIGHEST_ORDER}"
_LONGEST_NUMBER: Final = 100

_EMPTY: Final = {"createOptions": "{}"}
_WHOLE_PLACEHOLDER: Final = re.compile(r'(?:^|["=])\$\{[A-Za-z_][\w.]*\}(?=["\\]|$)')


def word_problem(value: Any, words: tuple[str, ...], use: str) -> str | None:
    """Check a word of a closed set, ignoring case. A number is valid too (Newtonsoft's StringEnumConverter)."""
    if value is None:
        return f"missing; {use}"
    if isinstance(value, str):
        word = value.strip().lower()
        return None if word in words or word.lstrip("+-").isdigit() else f'"{clean(value, 40)}" is not valid; {use}'
    return None if isinstance(value, int) and not isinstance(value, bool) else f"not a string; {use}"


def startup_order_problem(value: Any) -> str | None:
    """Check startupOrder: a number that rounds to a .NET UInt32, or its text."""
    if value is None:
        return None
    try:
        order = int(value[:_LONGEST_NUMBER]) if isinstance(value, str) else round(value)
    except (TypeError, ValueError, OverflowError):
        return f"not a number; {_USE_ORDER}"
    return None if 0 <= order <= _HIGHEST_ORDER else f"out of range; {_USE_ORDER}"


def schema_version_problem(value: Any) -> str | None:
    """Check schemaVersion: two to four numbers, at most 1.1."""
    use = "use 1.0 or 1.1"
    if value is None:
        return f"missing; {use}"
    written = str(scalar(value))
    parts = written.split(".")
    if len(parts) not in _VERSION_PARTS or not all(part.strip().isdecimal() and len(part) < 10 for part in parts):  # noqa: PLR2004 (.NET's Int32)
        return f"not a version; {use}"
    numbers = (*(int(part) for part in parts), -1, -1)[:4]
    return None if numbers[0] == 1 and numbers <= _NEWEST_SCHEMA else f"{clean(written, 40)} is not supported; {use}"


def image_problem(value: Any) -> str | None:
    """Check an image reference by the agent's own pattern: path parts, a name, at most one tag or digest."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return "missing or empty"
    if not isinstance(value, str):
        return "not a string" if isinstance(value, dict | list) else None  # a number is read as its digits
    image = value.strip()
    if image.startswith("$"):
        before, upstream, after = image.rpartition(_UPSTREAM)
        if not upstream or not re.match(r":[1-9]", after):
            return "not an image reference; it starts with $ and is not $upstream:<port>/..."
        image = f"{before}parent{after}"
    last = image[image.rfind("/") + 1 :]
    tags = last.count(":")
    if tags > 1 and "@" in last:
        return "not an image reference for the agent, which takes a tag or a digest but not both"
    if not last or tags > 1 or last.startswith(":") or last.endswith(":"):
        return "not an image reference; it must be [registry/]name[:tag]"
    return None


def options_problem(parts: Mapping[str, Any]) -> str | None:
    """Check createOptions, joined from their parts: a JSON object, or nothing.

    Args:
        parts: The settings that hold them, in order.
    """
    if not parts or parts == _EMPTY:
        return None
    keys = list(parts)
    for number, key in enumerate(keys):
        if part_number(key) != (number or None):
            expected = f"createOptions{number:02}" if number else "createOptions"
            return f"{expected} is missing before {clean(key, 40)}"
    written = ["" if part is None else part for part in parts.values()]
    if not all(isinstance(part, str) for part in written):
        is_whole = len(written) == 1 and isinstance(written[0], dict)  # JSON that is not in a string is taken too
        return None if is_whole else "not a JSON object"
    problem = _json_problem("".join(written))
    if problem is None or len(keys) == 1:
        return problem
    whole = _whole_parts(written)
    if whole is None:
        return f"{problem} with {', '.join(keys[1:])}"
    rest = ", ".join(keys[whole:])
    return f"{problem} with {rest}, but valid without: another deployment left it there"


def placeholder(value: str, *, is_anywhere: bool) -> bool:
    """Whether a text that contains `${` still has a placeholder of a template in it.

    Args:
        value: The text.
        is_anywhere: A placeholder anywhere counts. Without it, only one that makes up a whole value counts: a shell or
            the module may expand others.
    """
    return is_anywhere or _WHOLE_PLACEHOLDER.search(value) is not None


def twin_size(value: Any) -> int:
    """Return the size of a section as IoT Hub counts it: keys and texts in UTF-8, 8 bytes per number, 4 per boolean.

    `$metadata` and `$version`, which the hub adds itself, do not count.
    """
    size, waiting = 0, [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            for key, inner in part.items():
                if not key.startswith("$"):
                    size += _utf8(key)
                    waiting.append(inner)
        elif isinstance(part, str):
            size += _utf8(part)
        elif isinstance(part, list):
            waiting.extend(part)
        elif part is not None:
            size += 4 if isinstance(part, bool) else 8
    return size


def _utf8(value: str) -> int:
    return len(value.encode("utf-8", "replace"))


def _whole_parts(written: list[str]) -> int | None:
    """Return how many leading parts form a JSON object, so that the others do not belong to it."""
    joined = "".join(written)
    try:
        value, end = _DECODER.raw_decode(joined, len(joined) - len(joined.lstrip()))
    except (ValueError, RecursionError):
        return None
    count, at = next((count, at) for count, at in enumerate(accumulate(map(len, written)), 1) if at >= end)
    return count if isinstance(value, dict) and not joined[end:at].strip() else None


def _json_problem(options: str) -> str | None:
    blank = not options.strip() or options.strip().lower() == "null"
    return None if blank or is_object(options) else "not a JSON object"
