"""The smallest histories in which the app once broke a promise, and what the model itself must see."""

from collections.abc import Iterator

import pytest
from azure.data.tables import TransactionOperation

from status_app.events import outbox
from status_app.fleet_index import projection
from status_app.fleet_index.projection import Projection
from status_app.storage.transaction import Operation

from .check import BrokenPromiseError, check
from .faults import Fault, Trouble
from .fleet import Act, Change
from .steps import Both, History, Lose, Run, Step

BORN = (Change(Act.CREATE, 0), Change(Act.DEPLOY, 0, asked=((0, 1), (1, 1)), layers=3), Change(Act.REPORT, 0))


def history(*steps: Step, devices: int = 1) -> History:
    return History((*BORN, *steps), devices=devices)


def test_rows_of_a_writer_who_was_killed_before_its_change_are_told_from_those_of_the_next_one() -> None:
    """Both counted the same generation, so resync took the row of the first for one of the device."""
    for gap in range(12):
        killed = Run("delivery", 0, (Fault(gap, Trouble.KILLED),), picks=(0,))
        check(history(killed, Change(Act.DEPLOY, 0, asked=((0, 2),), layers=2), Change(Act.REPORT, 0, runs=(1, 0, 0))))


def test_rows_of_a_writer_who_was_second_are_told_from_those_of_the_first() -> None:
    for lag in (1, 2, 3):
        check(history(Both(Run("resync", 0, lag=(lag,)), Run("delivery", 1, picks=(0,)))))


def test_a_deployment_that_is_no_longer_credited_is_not_counted_though_its_row_could_not_be_removed() -> None:
    """Nothing else of the device changed, so its rows kept their generation, and the one left behind was theirs."""
    for gap in range(14):
        fault = Fault(gap, Trouble.THROTTLED)
        check(history(Run("resync"), Change(Act.CREDIT, 0), Run("flag_stuck"), Run("resync", 0, (fault,))))


def test_a_device_that_crashed_and_was_never_heard_of_again_is_right_after_a_resync() -> None:
    check(history(Run("delivery", 0, picks=(0, 1, 2)), Change(Act.REPORT, 0, runs=(1, 2, 0)), Lose(0), Lose(0)))


def test_the_model_sees_that_transitions_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox.Outbox, "send", succeed)
    with pytest.raises(BrokenPromiseError, match="4 transitions are not sent"):
        check(history())


def test_the_model_sees_a_row_of_the_index_that_is_not_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    operations = projection._operations  # noqa: SLF001 (what it takes away is kept here)

    def keep(shard: str, item: Projection) -> Iterator[Operation]:
        for operation in operations(shard, item):
            if operation[0] is not TransactionOperation.DELETE or not operation[1]["RowKey"].startswith("state|"):
                yield operation

    monkeypatch.setattr(projection, "_operations", keep)
    with pytest.raises(BrokenPromiseError, match="the index"):
        check(history(Run("delivery", 0, picks=(0,)), Change(Act.DEPLOY, 0)))


async def succeed(*_: object) -> bool:
    """In the place of what sends events: it sends none."""
    return True
