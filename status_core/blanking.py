"""Blank known secrets, and anything that looks like a key, in one pass over a text.

A word is a run of letters, digits and `_`, with single dots and dashes inside. So `opc-publisher` does not quote
`publisher`, and `hunter2.` at the end of a sentence does quote `hunter2`.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

REDACTED: Final = "***"
"""Replaces a secret."""

_WORD: Final = re.compile(r"\w+(?:[.-]\w+)*|\W")
_KEY: Final = re.compile(
    r"""\b(?:SharedAccessKey|AccountKey|SharedSecret|sig|password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key"""
    r"""|client[_-]?secret)=(?P<value>[^\s;&,"')]+)"""  # a part of a connection string, of a query or of a command
    r"""|(?<![^\s/:@"'=])[^\s/:@"'=]+:(?P<password>[^\s/:@"']+)(?=@(?!sha\d))"""  # user:password@, no tag and digest
    r"""|\bBearer\s(?P<bearer>[\w.~+/-]+=*)"""
    r"""|(?<![\w-])(?P<jwt>eyJ[\w-]+\.[\w-]+\.[\w-]+)"""
    r"""|(?<![\w+/])(?P<base64>[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{86}==)(?![\w+/=])""",  # keys of IoT Hub, of storage
    re.IGNORECASE,
)


def blank_keys(text: str) -> str:
    """Replace anything that looks like a key."""
    spans = key_spans(text)
    return replaced(text, spans, lambda _length: REDACTED) if spans else text


def key_spans(text: str) -> list[tuple[int, int]]:
    """Return the spans that look like a key, in order and without overlap."""
    may_match = "=" in text or "@" in text or "eyJ" in text or "bearer" in text.lower()
    return [match.span(match.lastgroup or 0) for match in _KEY.finditer(text)] if may_match else []


def replaced(text: str, spans: Iterable[tuple[int, int]], by: Callable[[int], str]) -> str:
    """Replace some spans of a text.

    Args:
        text: The text.
        spans: The spans, in order.
        by: Returns the replacement for a span of that length.
    """
    pieces, at = [], 0
    for start, end in spans:
        pieces += [text[at:start], by(end - start)]
        at = end
    return "".join([*pieces, text[at:]])


def quotable(secrets: Iterable[str], text: str) -> set[str]:
    """Return the secrets that a text may quote: those whose every word is in the text."""
    words = set(_WORD.findall(text))
    return {secret for secret in secrets if words.issuperset(_WORD.findall(secret))}


class Blanker:
    """Finds the secrets that a text quotes as whole words.

    An Aho-Corasick automaton over words, not characters: its size grows with the secrets, and a search takes time
    linear in the text, however many secrets there are.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._following: list[dict[str, int]] = [{}]
        self._words = [0]  # of the longest secret that ends in a state
        for secret in secrets:
            state = count = 0
            for count, match in enumerate(_WORD.finditer(secret), 1):  # noqa: B007 (the count at the end)
                state = self._step(state, match[0])
            self._words[state] = count
        self._shorter = self._fallbacks()

    def blank(self, text: str) -> str:
        """Return the text with `***` in place of each secret."""
        return replaced(text, self.spans(text), lambda _length: REDACTED)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the spans that quote secrets, in order and without overlap."""
        starts, found = [], list[tuple[int, int]]()
        state = 0
        for count, match in enumerate(_WORD.finditer(text), 1):
            starts.append(match.start())
            while state and match[0] not in self._following[state]:
                state = self._shorter[state]
            state = self._following[state].get(match[0], 0)
            if state and self._words[state]:
                start = starts[count - self._words[state]]
                while found and found[-1][1] > start:
                    start = min(start, found.pop()[0])
                found.append((start, match.end()))
        return found

    def _step(self, state: int, word: str) -> int:
        """Return the state after one more word; create it if it does not exist."""
        following = self._following[state]
        if word not in following:
            following[word] = len(self._following)
            self._following.append({})
            self._words.append(0)
        return following[word]

    def _fallbacks(self) -> list[int]:
        """Map each state to the state of its longest proper suffix. What ends there ends here too."""
        shorter = [0] * len(self._following)
        waiting = deque(self._following[0].values())
        while waiting:
            state = waiting.popleft()
            self._words[state] = self._words[state] or self._words[shorter[state]]
            for word, after in self._following[state].items():
                back = shorter[state]
                while back and word not in self._following[back]:
                    back = shorter[back]
                shorter[after] = self._following[back].get(word, 0)
                waiting.append(after)
        return shorter
