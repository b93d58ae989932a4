"""How many devices of a deployment may fail."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Self

_THRESHOLD: Final = re.compile(r"([0-9]{1,9})(?:(\.[0-9]{1,3})? ?%)?")
_WHOLE: Final = 100


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number of devices, or a share of them.

    Attributes:
        text: As a person wrote it.
        number: How many devices may fail; of a share, how many of a hundred.
        is_share: Whether it is a share.
    """

    text: str
    number: Fraction
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """A whole number from 0 on, or a percentage from 0 to 100.

        Raises:
            ValueError: It is neither.
        """
        match = _THRESHOLD.fullmatch(text.strip())
        if match is None:
            raise ValueError("a number of devices such as 5, or a percentage such as 5%")
        number, is_share = Fraction(match[1] + (match[2] or "")), text.strip().endswith("%")
        if is_share and number > _WHOLE:
            raise ValueError("a percentage is at most 100%")
        return cls(text.strip(), number, is_share)

    def is_exceeded(self, failing: int, devices: int) -> bool:
        """Whether more fail than may, of so many."""
        return failing > (self.number * devices / _WHOLE if self.is_share else self.number)

    def __str__(self) -> str:
        """As a person wrote it."""
        return self.text


NONE_MAY_FAIL: Final = Threshold.parse("0")
