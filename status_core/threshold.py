"""How many devices of a deployment may fail."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Self

_THRESHOLD: Final = re.compile(r"([0-9]{1,9})(?:(\.[0-9]{1,3})? ?%)?")
_WHOLE: Final = 100


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number of devices, or a percentage of them.

    Attributes:
        text: As entered.
        number: How many devices may fail, or how many percent.
        is_share: Whether it is a percentage.
    """

    text: str
    number: Fraction
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a whole number from 0 up, or a percentage from 0 to 100.

        Raises:
            ValueError: The text is neither.
        """
        match = _THRESHOLD.fullmatch(text.strip())
        if match is None:
            raise ValueError("a number of devices such as 5, or a percentage such as 5%")
        number, is_share = Fraction(match[1] + (match[2] or "")), text.strip().endswith("%")
        if is_share and number > _WHOLE:
            raise ValueError("a percentage is at most 100%")
        return cls(text.strip(), number, is_share)

    def is_exceeded(self, failing: int, devices: int) -> bool:
        """Whether more devices fail than allowed."""
        return failing > (self.number * devices / _WHOLE if self.is_share else self.number)

    def __str__(self) -> str:
        """Return the text as entered."""
        return self.text


NONE_MAY_FAIL: Final = Threshold.parse("0")
