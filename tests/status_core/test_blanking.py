"""Secrets in a text are found in one pass, as whole words."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from status_core.blanking import Blanker, quotable

WORD = re.compile(r"\w+(?:[.-]\w+)*|\W")


def slowly(text: str, secrets: list[str]) -> str:
    """The same by trying every secret at every word."""
    words, hidden = WORD.findall(text), set[int]()
    for known in map(WORD.findall, secrets):
        for start in range(len(words)):
            if known and words[start : start + len(known)] == known:
                hidden.update(range(start, start + len(known)))
    return "".join("\x00" if number in hidden else word for number, word in enumerate(words))


alike = st.text("=+", max_size=24)
"""Each character is a word: such texts begin and end like each other all the time."""
texts = st.lists(st.sampled_from(["a", "b", "ab", "a-b", " ", "  ", "=", ".", "a.b"]), max_size=24).map("".join) | alike


@given(texts, st.lists(texts.filter(bool), max_size=6))
def test_the_automaton_finds_what_a_search_for_each_secret_finds(text: str, secrets: list[str]) -> None:
    expected = re.sub("\x00+", "***", slowly(text, secrets))
    found = re.sub(r"(\*\*\*)+", "***", Blanker(secrets).blank(text))
    assert found == expected
    assert Blanker(quotable(secrets, text)).blank(text) == Blanker(secrets).blank(text)


@given(texts, st.lists(texts.filter(bool), max_size=6))
def test_places_come_in_order_and_apart_from_each_other(text: str, secrets: list[str]) -> None:
    spans = Blanker(secrets).spans(text)
    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_secrets_side_by_side_are_places_of_their_own_and_those_that_overlap_are_one() -> None:
    assert Blanker(["a", "="]).spans("a=") == [(0, 1), (1, 2)]
    assert Blanker(["a=", "=b"]).spans("a=b") == [(0, 3)]


def test_a_secret_is_replaced_where_another_began_as_it_does() -> None:
    assert Blanker(["a=b", "=c"]).blank("x a=c y") == "x a*** y"
    assert Blanker(["++=", "=+++=", "+=!++"]).spans("!!=++=!=+") == [(3, 6)]


def test_without_secrets_a_text_stays_as_it_is() -> None:
    assert Blanker([]).blank("a b") == "a b"
    assert Blanker(["a"]).blank("") == ""
