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


texts = st.lists(st.sampled_from(["a", "b", "ab", "a-b", " ", "  ", "=", ".", "a.b"]), max_size=24).map("".join)


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


def test_without_secrets_a_text_stays_as_it_is() -> None:
    assert Blanker([]).blank("a b") == "a b"
    assert Blanker(["a"]).blank("") == ""
