"""docs/states.md names every word that the core can say, and no other."""

import re
from enum import StrEnum
from pathlib import Path

import pytest

from status_core import Flag, ModuleState, Portal, Reason, State
from status_core.rules import RULES

PAGE = (Path(__file__).parents[2] / "docs" / "states.md").read_text()


def first_column(heading: str) -> set[str]:
    section = PAGE.partition(heading)[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("## States\n", State),
        ("## States of a module\n", ModuleState),
        ("## Flags\n", Flag),
        ("## What IoT Hub's own counters say\n", Portal),
        ("## Reasons\n", Reason),
    ],
)
def test_a_table_lists_exactly_the_words_of_the_code(heading: str, words: type[StrEnum]) -> None:
    assert first_column(heading) == set(words)


def test_the_rules_stand_in_their_order() -> None:
    rules = PAGE.partition("|---|---|---|\n")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", rules, re.MULTILINE) == [rule.__name__ for rule in RULES] + ["unknown_code"]
