"""Whether edgeAgent, which parses with Newtonsoft, would accept a text as a JSON object.

Newtonsoft accepts more than JSON: either kind of quotes, unquoted keys, comments, trailing commas. This checks the
structure only and accepts any bare word, so it refuses nothing that the agent accepts.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|/\*(?:[^*]|\*(?!/))*\*/|//[^\n]*)|(?P<scalar>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s{}\[\]:,"'/]+)"""
    r"""|[{}\[\]:,]|(?P<broken>.)""",
    re.DOTALL,
)
_SYMBOLS: Final[dict[str | None, str]] = {"scalar": "s", "broken": "!"}
_OPENED: Final = {"}": "{", "]": "["}
_START, _KEY, _COLON, _VALUE, _ELEMENT, _AFTER, _END = range(7)
_MAY_COME: Final = {
    _START: "{",
    _KEY: "s}",
    _COLON: ":",
    _VALUE: "s{[",
    _ELEMENT: "s{[],",
    _AFTER: ",}]",
    _END: "",
}


def is_object(text: str) -> bool:
    """Whether the whole text is one object."""
    try:
        return isinstance(json.loads(text, strict=False), dict)
    except RecursionError:
        return True  # nested too deeply to check
    except ValueError:
        return _is_object(text)


def _is_object(text: str) -> bool:
    expected, inside = _START, list[str]()
    for symbol in _symbols(text):
        if symbol not in _MAY_COME[expected]:
            return False
        if symbol in _OPENED.values():
            inside.append(symbol)
            expected = _KEY if symbol == "{" else _ELEMENT
        elif symbol in _OPENED:
            if inside.pop() != _OPENED[symbol]:
                return False
            expected = _AFTER if inside else _END
        elif symbol == ",":
            expected = _KEY if inside[-1] == "{" else _ELEMENT
        elif symbol == ":":
            expected = _VALUE
        else:
            expected = _COLON if expected == _KEY else _AFTER
    return expected == _END


def _symbols(text: str) -> Iterator[str]:
    """Yield the structure of a text: brackets, colons and commas, and one letter for each value or key."""
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "space":
            yield _SYMBOLS.get(match.lastgroup, match[0])
