"""One step of the chain: what was asked, the answer, and how to fix it."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The outcome of a step."""

    OK = "ok"
    WRONG = "wrong"
    SKIPPED = "skipped"
    """It cannot be checked from here. The answer says what is missing."""


@dataclass(frozen=True, slots=True)
class Step:
    """A completed step.

    Attributes:
        name: The link of the chain.
        asked: What was asked, for people.
        answer: What came back. It never quotes an error of an SDK, which may hold a key.
        mend: How to fix it, with a command if there is one; empty if nothing is wrong.
    """

    name: str
    verdict: Verdict
    asked: str
    answer: str
    mend: str = ""


def ok(name: str, asked: str, answer: str) -> Step:
    """Create a step that found everything in order."""
    return Step(name, Verdict.OK, asked, answer)


def wrong(name: str, asked: str, answer: str, mend: str) -> Step:
    """Create a step that found something wrong."""
    return Step(name, Verdict.WRONG, asked, answer, mend)


def skipped(name: str, asked: str, answer: str, mend: str = "") -> Step:
    """Create a step that cannot be taken from here."""
    return Step(name, Verdict.SKIPPED, asked, answer, mend)
