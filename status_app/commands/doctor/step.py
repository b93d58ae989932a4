"""One step of the chain: what was asked, what came back, and what mends it."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What came of a step."""

    OK = "ok"
    WRONG = "wrong"
    SKIPPED = "skipped"
    """It cannot be asked from here. The answer says what is missing."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step that was taken.

    Attributes:
        name: The link of the chain.
        asked: What was asked, for a person.
        answer: What came back. It never quotes an error of an SDK, which may hold a key.
        mend: What to do, a command where there is one; empty where nothing is wrong.
    """

    name: str
    verdict: Verdict
    asked: str
    answer: str
    mend: str = ""


def ok(name: str, asked: str, answer: str) -> Step:
    """A step that found all as it should be."""
    return Step(name, Verdict.OK, asked, answer)


def wrong(name: str, asked: str, answer: str, mend: str) -> Step:
    """A step that found something wrong."""
    return Step(name, Verdict.WRONG, asked, answer, mend)


def skipped(name: str, asked: str, answer: str, mend: str = "") -> Step:
    """A step that cannot be taken from here."""
    return Step(name, Verdict.SKIPPED, asked, answer, mend)
