"""Filters of queries: comparisons with a text that are joined by `and`."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

_COMPARE = {
    "eq": operator.eq,
    "ne": operator.ne,
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
}
_TERM = re.compile(r"(not \()?(\w+) (eq|ne|ge|gt|le|lt) '((?:[^']|'')*)'(?(1)\))(?: and |$)")

type Term = tuple[str, Callable[[Any, Any], bool], str, bool]
"""A column, how it is compared, with what, and whether that has to hold or must not."""


@lru_cache(maxsize=4096)
def terms_of(query_filter: str) -> tuple[Term, ...]:
    """Parse a filter into its terms, all of which must hold."""
    terms, place = list[Term](), 0
    while place < len(query_filter):
        match = _TERM.match(query_filter, place)
        if match is None:
            raise NotImplementedError(query_filter)
        terms.append((match[2], _COMPARE[match[3]], match[4].replace("''", "'"), match[1] is None))
        place = match.end()
    return tuple(terms)


def holds(columns: Mapping[str, Any], terms: Iterable[Term]) -> bool:
    """Whether an entity is what a filter asks for. A column that it does not have meets no comparison."""
    for name, compare, value, is_wanted in terms:
        found = columns.get(name)
        if (found is not None and compare(found, value)) is not is_wanted:
            return False
    return True
