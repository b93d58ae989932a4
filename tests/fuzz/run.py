"""One input by its number."""

from random import Random

from .targets import TARGETS


def run(number: int) -> str:
    """Give the target whose turn it is its input; the name of the target."""
    target = TARGETS[number % len(TARGETS)]
    target(Random(number))  # noqa: S311 (an input, no secret)
    return target.__name__
