"""The smallest histories in which the app once broke a promise, and what the model itself must see."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain, product
from typing import Any

import pytest
from azure.data.tables import TransactionOperation

from status_app.events import outbox
from status_app.fleet_index import counters, index_transaction, projection
from status_app.fleet_index.former import FormerIndex
from status_app.fleet_index.index_transaction import Projection
from status_app.reconcile import flag_stuck
from status_app.status_table import stored_device
from status_app.status_table.commit import DeviceCommit
from status_app.status_table.rows import read_record
from status_app.status_table.stored_device import StoredDevice
from status_app.storage.keys import DEVICE
from status_app.storage.transaction import Operation
from status_core import NO_LIST, DeviceRecord, Listings, Standing, evaluate, standing

from .check import BrokenPromiseError, check
from .faults import Fault, Trouble
from .fleet import CODES, RUNS, Act, Change, Device
from .histories import watched
from .hub_list import Created, Given, Gives, Removed
from .steps import Both, History, Jump, Lose, Page, Run, Step, Wait
from .world import START

BORN = (Change(Act.CREATE, 0), Change(Act.DEPLOY, 0, asked=((0, 1), (1, 1)), layers=3), Change(Act.REPORT, 0))
BORN_ALL = tuple(replace(change, device=number) for number in range(3) for change in BORN)


def history(*steps: Step, devices: int = 1) -> History:
    return History((*BORN, *steps), devices=devices)


def test_rows_of_a_writer_that_was_killed_before_its_change_are_not_taken_for_those_of_the_next_one() -> None:
    """Both counted the same generation, so resync took the row of the first for one of the device."""
    for gap in range(14):
        killed = Run("delivery", 0, (Fault(gap, Trouble.KILLED),), picks=(0,))
        check(history(killed, Change(Act.DEPLOY, 0, asked=((0, 2),), layers=2), Change(Act.REPORT, 0, runs=(1, 0, 0))))


def test_rows_of_the_second_writer_are_not_taken_for_those_of_the_first() -> None:
    for lag in (1, 2, 3):
        check(history(Both(Run("resync", 0, lag=(lag,)), Run("delivery", 1, picks=(0,)))))


def test_a_deployment_that_is_no_longer_credited_is_not_counted_though_its_row_could_not_be_removed() -> None:
    """Nothing else of the device changed, so its rows kept their generation, and the one left behind was theirs."""
    for gap in range(16):
        fault = Fault(gap, Trouble.THROTTLED)
        check(history(Run("resync"), Change(Act.CREDIT, 0), Run("flag_stuck"), Run("resync", 0, (fault,))))


def test_a_device_that_crashed_and_was_never_heard_of_again_is_right_after_a_resync() -> None:
    check(history(Run("delivery", 0, picks=(0, 1, 2)), Change(Act.REPORT, 0, runs=(1, 2, 0)), Lose(0), Lose(0)))


def test_a_crash_between_two_parts_of_a_change_leaves_no_gap_among_the_sequences() -> None:
    """The device was stuck before its modules, whose rows were written first."""
    born = Change(Act.DEPLOY, 0, asked=((0, 1), (1, 1), (2, 1)), layers=3)
    rejected = Change(Act.REPORT, 0, code=3, runs=(1, 1, 1))
    for gap in range(12, 22):
        killed = Run("flag_stuck", 0, (Fault(gap, Trouble.KILLED),))
        looks = Run("delivery", 0, picks=(0, 1)), rejected, Run("delivery", 0, picks=(0,)), Wait(1200), killed
        check(replace(history(born, Change(Act.REPORT, 0), *looks), transaction_limit=4))


def test_a_device_that_changes_while_the_timer_finishes_it_is_in_the_index_as_it_is() -> None:
    """An index that was read after the device let the older picture take the place of the newer one."""
    killed = Run("delivery", 0, (Fault(11, Trouble.KILLED),), picks=(0,))
    change = Change(Act.REPORT, 0, runs=(1, 0, 0))
    for gap in range(12, 26):
        timer = Run("flag_stuck", 1, (Fault(gap, Trouble.RIVAL, 0, change),))
        check(history(killed, Wait(1000), timer))


@pytest.mark.parametrize("before", [(), (Run("resync"), Run("flag_stuck"), Run("flag_stuck"))], ids=["new", "known"])
def test_a_writer_that_was_paused_until_its_announcement_ended_changes_nothing(before: tuple[Step, ...]) -> None:
    """It was killed behind its late commit: the index had the device as before, and its events were never sent."""
    elsewhere = Change(Act.CREDIT, 1, layers=2)
    for gap in range(12):
        paused = Fault(gap, Trouble.PAUSED, 1, elsewhere, pause=2000), Fault(0, Trouble.KILLED)
        late = Run("delivery", 0, paused, picks=(-1,))
        device = (replace(step, device=1) for step in BORN)
        check(history(*device, *before, Change(Act.EMPTY, 0), late, devices=2))


def test_a_device_that_is_removed_before_it_was_ever_projected_leaves_no_event_unsent() -> None:
    """Only the row of the device showed that nothing of it was published, and the removal took that with it."""
    for gap in range(8, 16):
        looks = Run("delivery", 0, (Fault(gap, Trouble.KILLED),), picks=(0, 1, 2))
        removes = Run("delivery", 0, (Fault(gap, Trouble.KILLED),), picks=(-1,))
        check(history(looks, Change(Act.DELETE, 0), removes))


def test_a_writer_that_read_while_another_one_created_the_device_leaves_its_event_to_be_sent() -> None:
    """It read the transition and not yet the row, took the event for sent by the release before, and kept to that."""
    unsent = Run("delivery", 1, (Fault(12, Trouble.THROTTLED),), picks=(0,))
    again = Run("delivery", 0, (Fault(3, Trouble.THROTTLED),), picks=(0,))
    for seed in range(60):
        check(replace(history(Run("flag_stuck"), Both(unsent, again)), seed=seed, has_list=True, enough=2))


def test_a_torn_page_makes_no_first_state_of_a_device() -> None:
    check(history(Run("resync", pages=(Page.TORN,))))


@pytest.mark.parametrize("ahead", [16 * 60, -16 * 60])
def test_a_clock_that_is_off_flags_nothing_early_and_dates_nothing_ahead(ahead: int) -> None:
    """What was deployed a moment ago was stuck."""
    look = Run("delivery", 1, picks=(0,))
    check(history(Jump(1, ahead), Change(Act.DEPLOY, 0), look, Run("flag_stuck", 1), Change(Act.DEPLOY, 0)))


def test_a_query_that_is_behind_ends_no_clock() -> None:
    """What had failed again by then was announced as successful."""
    look, fails, runs = Run("delivery", 0, picks=(-1,)), Change(Act.REPORT, 0, runs=(1, 0, 0)), Change(Act.REPORT, 0)
    looks = [step for change in (*BORN, fails, runs) for step in (change, look)]
    lagging = Wait(560), fails, Lose(-1), Wait(100), Run("resync", 0, lag=(1,))
    check(History((*looks, *lagging), devices=1))


def test_an_equal_version_of_an_identity_that_was_deleted_does_not_come_back() -> None:
    """Both identities are at version 4: the index of the hub still gives the first one, which was rejected."""
    first = Change(Act.REPORT, 0, code=3), Run("delivery", 0, picks=(0, 1, 2, 3)), Change(Act.DELETE, 0)
    second = *BORN, Change(Act.REPORT, 0)
    lagging = Run("resync", lag=(5,))
    check(history(*first, Run("delivery", 0, picks=(0,)), *second, Run("delivery", 0, picks=(0, 1, 2, 3)), lagging))


def test_the_model_sees_that_transitions_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox.Outbox, "send", succeed)
    with pytest.raises(BrokenPromiseError, match="1 transitions are not sent"):
        check(history())


def test_the_model_sees_a_row_of_the_index_that_is_not_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    operations = index_transaction.device_operations

    def keep(shard: str, item: Projection) -> Iterator[Operation]:
        for operation in operations(shard, item):
            if operation[0] is not TransactionOperation.DELETE or not operation[1]["RowKey"].startswith("state|"):
                yield operation

    monkeypatch.setattr(projection, "device_operations", keep)
    with pytest.raises(BrokenPromiseError, match="the index"):
        check(history(Run("delivery", 0, picks=(0,)), Change(Act.DEPLOY, 0)))


def test_the_model_sees_an_announced_change_that_nobody_finishes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flag_stuck.FlagStuck, "_announced", lambda *_: [])
    with pytest.raises(BrokenPromiseError, match="the index has too many rows"):
        check(history(Run("delivery", 0, (Fault(11, Trouble.KILLED),), picks=(0,)), Change(Act.DEPLOY, 0)))


def test_the_model_sees_a_transition_that_is_trimmed_before_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    trim = DeviceCommit.trim

    async def trim_all(commit: DeviceCommit, stored: StoredDevice, _published: int) -> None:
        await trim(commit, stored, stored.last_sequence)

    monkeypatch.setattr(DeviceCommit, "trim", trim_all)
    later = Change(Act.DEPLOY, 0, asked=((0, 2),)), Change(Act.REPORT, 0, code=3)
    looks = [step for change in later for step in (change, Run("delivery", 0, picks=(-1,)))]
    refused = Run("delivery", 0, (Fault(12, Trouble.THROTTLED),), picks=(0, 1, 2))
    with pytest.raises(BrokenPromiseError, match="1 transitions are not sent"):
        check(replace(history(refused, *looks), history_limit=1))


def test_the_model_sees_that_a_device_is_judged_without_the_list_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(record: DeviceRecord, deployment: str, _: Listings, now: datetime) -> tuple[Standing, datetime | None]:
        return standing(record, deployment, NO_LIST, now)

    monkeypatch.setattr(counters, "standing", without)
    with pytest.raises(BrokenPromiseError, match=r"deployment base counts .*'Waiting': 0}, not .*'Waiting': 1}"):
        check(replace(history(Created(0, 1, 1)), has_list=True))


def test_the_model_sees_that_rows_of_the_release_before_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(rows: Mapping[str, Any]) -> DeviceRecord | None:
        return read_record(rows) if "Format" in rows[DEVICE] else None

    monkeypatch.setattr(stored_device, "read_record", read)
    with pytest.raises(BrokenPromiseError, match="it is announced as new"):
        check(replace(history(Run("delivery", 0, picks=(0, 1, 2))), older=(True,)))


def test_the_model_sees_that_what_the_release_before_left_unsent_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> None:
        """In the place of the first sequence that is unsent."""

    monkeypatch.setattr(FormerIndex, "first_unsent", nothing)
    refused = Run("delivery", 0, (Fault(12, Trouble.THROTTLED),), picks=(0, 1, 2))
    with pytest.raises(BrokenPromiseError, match="4 transitions are not sent"):
        check(replace(history(refused), older=(True,)))


def test_the_status_of_a_twin_of_the_model_does_not_depend_on_when_it_is_judged() -> None:
    """`Judge` judges each of them once."""
    born, later = Device("edge-01"), START + timedelta(days=1)
    for change in (*BORN, Change(Act.DEPLOY, 0, asked=((0, 1), (1, 1)))):
        born.change(change, START)
    codes, runs = range(len(CODES)), range(len(RUNS))
    for taken, code, first, second in product([True, False], codes, runs, runs):
        device = replace(born, twins=[born.twin])
        device.change(Change(Act.REPORT, 0, taken=taken, code=code, runs=(first, second, 0)), START)
        assert evaluate(device.twin, now=later) == evaluate(device.twin)


async def succeed(*_: object) -> bool:
    """In the place of what sends events: it sends none."""
    return True


def test_a_version_that_changes_nothing_while_a_timer_projects_is_left_to_the_comparison() -> None:
    """Another process stored the version between the timer's commit and its projection, and had nothing to project."""
    report = Change(Act.REPORT, 2, code=1, runs=(0, 0, 0))
    rival = Fault(24, Trouble.RIVAL, 2, replace(report, device=0), pause=2)
    changes = (*BORN_ALL, Change(Act.DEPLOY, 0), report)
    delivered = chain.from_iterable(map(watched, changes))
    killed = Run("delivery", 0, (Fault(5, Trouble.KILLED),), picks=(0,))
    check(History((*delivered, killed, Wait(1000), Run("flag_stuck", 0, (rival,)))))


def test_devices_judged_before_the_list_shows_the_modules_of_a_deployment_are_judged_again() -> None:
    """They waited for ever: the version of the deployment, the time of its creation, had not changed."""
    check(History((*BORN_ALL, Created(0, 0, 1), Gives(Given.ODD), Run("flag_stuck")), has_list=True))


def test_a_deadline_that_a_change_outruns_before_the_timer_comes_announces_nothing() -> None:
    """A module was given up for two minutes, and ran again fifteen seconds later: no timer had come in between."""
    crashing = Change(Act.REPORT, 1, runs=(0, 1, 0))
    steps: tuple[Step, ...] = (*BORN_ALL, crashing, replace(crashing, runs=(2, 6, 0)), Wait(135), crashing)
    check(History(tuple(chain.from_iterable(map(watched, steps)))))


def test_the_index_may_keep_how_far_devices_are_in_a_deployment_that_the_hub_has_no_more() -> None:
    both = Both(Run("delivery", picks=(0,)), Run("flag_stuck"))
    check(History((*BORN_ALL, Created(1, 0, 1), both, Removed(1)), has_list=True))
    steps: tuple[Step, ...] = (*BORN_ALL[:6], Created(1, 1, 1), Run("flag_stuck"), Removed(1))
    check(History(steps, devices=2, has_list=True))  # and so does the count


def test_two_timers_that_both_forget_a_deployment_of_the_list_both_go_on() -> None:
    """The second was refused a row that the first had deleted, and its run failed."""
    timers = Both(Run("flag_stuck", 1), Run("flag_stuck", 1))
    steps: tuple[Step, ...] = (*BORN, Created(0, 0, 1), Run("flag_stuck"), Removed(0), Run("flag_stuck"), timers)
    check(History(steps, devices=1, has_list=True))


def test_a_writer_that_slept_while_a_device_came_and_went_writes_no_sequence_twice() -> None:
    """The history of one transition was trimmed to that of the deletion, so the first sequence was free again."""
    for gap in range(14):
        slept = Run("delivery", 1, (Fault(gap, Trouble.PAUSED, 0, Change(Act.DELETE, 0), pause=2),), picks=(0,))
        steps: tuple[Step, ...] = (*BORN_ALL[:6], Both(Run("delivery", 0, picks=(0,)), slept))
        check(History(steps, devices=2, history_limit=1))


def test_what_this_release_left_unsent_is_sent_though_the_release_before_wrote_the_device_then() -> None:
    """Only `Published` in the row of the device showed that it was not, and that release drops the column."""
    for gap in range(8, 18):
        killed = Run("delivery", 0, (Fault(gap, Trouble.KILLED),), picks=(0, 1, 2))
        rejected = Change(Act.REPORT, 0, code=3), Run("delivery", 0, picks=(-1,))
        check(replace(history(killed, *rejected), older=(False, True)))


def test_a_device_that_only_the_release_before_has_seen_is_removed_within_a_week_of_resyncs() -> None:
    """Neither a notification, nor a query, nor the index of this release names it."""
    look = Run("delivery", 0, picks=(0, 1, 2))
    check(replace(history(Run("flag_stuck"), look, Change(Act.DELETE, 0), Lose(0)), older=(True,)))
