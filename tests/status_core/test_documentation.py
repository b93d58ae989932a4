"""docs/states.md names every word that the core can say, and no other."""

from enum import StrEnum
from pathlib import Path

import pytest
from test_rules import FIRST_TO_HOLD
from twins import load_cases

from status_core import Flag, ModuleState, Portal, Reason, State, evaluate
from status_core.causes import Cause
from status_core.descriptions import DESCRIPTION_LIMIT, explain
from status_core.transitions import DELETED_REASON, REMOVED_REASON

PAGE = (Path(__file__).parents[2] / "docs" / "states.md").read_text()


def section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def table(heading: str) -> list[list[str]]:
    """The cells of each row of the section's table, without its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("States", State),
        ("States of a module", ModuleState),
        ("Flags", Flag),
        ("IoT Hub's own counters", Portal),
    ],
)
def test_a_table_lists_the_words_of_the_code_in_their_order_and_says_something_of_each(
    heading: str, words: type[StrEnum]
) -> None:
    rows = table(heading)
    assert list(words) == [row[0] for row in rows]
    assert all(len(cell) > 3 for row in rows for cell in row)


def test_the_table_of_reasons_is_that_of_the_code() -> None:
    rows = [[reason, reason.means, reason.advice, "yes" if reason.is_hopeless else "no"] for reason in Reason]
    assert rows == table("Reasons")[: len(rows)]


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_says_in_whole_sentences_what_it_means_and_what_to_do(reason: Reason) -> None:
    for sentence in (reason.means, reason.advice):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
    assert reason.rank == list(Reason).index(reason)


def test_what_only_a_person_can_change_is_what_neither_time_nor_another_try_does() -> None:
    assert {reason for reason in Reason if reason.is_hopeless} == {
        Reason.CONFIG_REJECTED,
        Reason.SCHEMA_VERSION_REJECTED,
        Reason.REGISTRY_REFUSED,
        Reason.IMAGE_NOT_FOUND,
        Reason.WRONG_PLATFORM,
        Reason.MOUNT_INVALID,
        Reason.GAVE_UP,
    }


FURTHER = [row for row in table("Reasons")[len(Reason) :] if row[-1] in set(Reason)]
TEXTS = [(row[0].partition("`")[0], row[1]) for row in FURTHER]


def test_the_page_has_a_table_of_texts_from_the_field() -> None:
    assert len(TEXTS) >= 20


@pytest.mark.parametrize(("text", "reason"), TEXTS)
def test_a_text_of_the_page_has_its_reason(text: str, reason: str) -> None:
    assert explain(text, image_outstanding=True).reason == reason


def test_the_rules_stand_in_their_order_with_the_states_that_they_give() -> None:
    rows = [(row[0], row[2]) for row in table("Rules")]
    assert [(rule, state) for rule, (_, state, _) in FIRST_TO_HOLD.items()] == rows


def test_the_reasons_of_transitions_alone_are_named() -> None:
    for reason in (REMOVED_REASON, DELETED_REASON):
        assert f"`{reason}`" in section("Reasons")
        assert reason not in set(Reason)


def test_the_limit_of_a_description_and_the_example_of_a_cause_are_those_of_the_code() -> None:
    assert f"{DESCRIPTION_LIMIT:,} characters" in section("Reasons")
    assert f"`{Cause(Reason.BACKOFF, 'm1', 'registry.example/m1:1.0', 139)}`" in section("Reasons")


def test_every_rule_of_the_document_that_can_hold_is_named() -> None:
    named = section("Where the app differs from the document").partition(".\n")[0]
    held = {rule for case in load_cases().values() for rule in evaluate(case["twin"]).documented}
    assert {rule for rule in held if f"`{rule}`" not in named} == set()
