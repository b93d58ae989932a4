"""Five thousand hostile inputs; `python -m tests.fuzz` gives more."""

import pytest

from .run import run
from .targets import TARGETS


@pytest.mark.parametrize("target", range(len(TARGETS)), ids=[target.__name__ for target in TARGETS])
def test_hostile_input_is_judged_or_refused(target: int) -> None:
    for number in range(1000):
        run(number * len(TARGETS) + target)
