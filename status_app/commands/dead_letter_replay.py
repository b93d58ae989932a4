"""The command replay-dead-letters: the devices of the events that were given up are looked at again."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from status_app.commands.terminal import printed
from status_app.errors import BadEventError, LostRaceError, UnavailableError
from status_app.ingest.dead_letters import DeadLetter, DeadLetters, UnreadableRowError
from status_app.ingest.notifications import Notification, OtherEvent, read_notification
from status_app.reconcile.reconciler import Reconciler
from status_app.reconcile.tasks import Notified, Result


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What came of an event.

    Attributes:
        words: For its line.
        processed: It has nothing more to say, and leaves the table.
        reason: Why it was given up again; None where it was not, or where its row cannot be read.
    """

    words: str
    processed: bool = False
    reason: str | None = None


async def replay_dead_letters(  # noqa: PLR0913 (four of them keyword-only)
    letters: DeadLetters,
    reconciler: Callable[[], Awaitable[Reconciler]],
    tell: Callable[[str], object],
    *,
    reason: str | None,
    dry_run: bool,
    confirm: Callable[[int], bool] = lambda _: True,
) -> bool:
    """Look again at the device of each event that is kept; what is processed now leaves the table.

    Args:
        letters: What was given up.
        reconciler: Gives what looks at devices; it is not asked for where nothing is looked at.
        tell: Takes a line for each event, and a last one that sums up.
        reason: Only events that were given up for it; None for all.
        dry_run: Only tell: nothing is looked at and nothing is written.
        confirm: Whether to go on with so many events.

    Returns:
        Whether nothing is left of what was chosen; False where that was not wanted.

    Raises:
        UnavailableError: The table service does not answer.
    """
    if not dry_run:
        chosen = sum([len(page) async for page in letters.pages(reason)])
        if chosen and not confirm(chosen):
            return False
    counts: Counter[bool] = Counter()
    async for page in letters.pages(reason):
        found = [(letter, _read(letter)) for letter in page]
        notifications = [item for _, item in found if isinstance(item, Notification)]
        looked = await _look_at_each(reconciler, notifications) if notifications and not dry_run else {}
        for letter, item in found:
            if isinstance(item, Notification):
                device = item.device_id
                verdict = looked.get(device) or _Verdict(f"would be looked at ({letter.reason})")
            else:
                device, verdict = "-", item
            if not dry_run:
                verdict = await _settle(letters, letter, verdict)
            gone = verdict.processed and not dry_run
            counts[gone] += 1
            tell(printed(f"{letter.name} {device} {'processed' if gone else 'stays'}: {verdict.words}"))
    tell(f"{counts[True]} processed, {counts[False]} left" if counts else "nothing to replay")
    return not counts[False]


def _read(letter: DeadLetter) -> Notification | _Verdict:
    try:
        notification = read_notification(letter.event())
    except UnreadableRowError as error:
        return _Verdict(f"unreadable row: {error}")
    except BadEventError as error:
        return _Verdict(str(error), reason=error.reason)
    except Exception as error:  # noqa: BLE001 (a bug: the rest goes on, and its text may quote an event)
        return _Verdict(f"internal_error: {type(error).__name__}")
    if isinstance(notification, OtherEvent):
        return _Verdict(f"about {notification}", processed=True)
    return notification


async def _look_at_each(
    reconciler: Callable[[], Awaitable[Reconciler]], notifications: Iterable[Notification]
) -> dict[str, _Verdict]:
    """Look at every device once, for all its events of a page.

    Not once for all pages: a later page may hold an event of a change that came after the look.
    """
    # No version: an operator who asks for a look gets one, however new the stored state is.
    devices: dict[str, Notification] = {}
    for notification in notifications:
        device = notification.device_id
        lifecycle = notification.lifecycle or (device in devices and devices[device].lifecycle)
        devices[device] = Notification(device, lifecycle=lifecycle)
    results = await (await reconciler()).run(Notified(notification) for notification in devices.values())
    return {result.task.device_id: _verdict(result) for result in results}


def _verdict(result: Result) -> _Verdict:
    match result.error:
        case None:
            return _Verdict(str(result.outcome), processed=True)
        case BadEventError() as error:
            return _Verdict(str(error), reason=error.reason)
        case UnavailableError() as error:
            return _Verdict(str(error), reason=f"{error.service}_unavailable")
        case error:  # a bug: the rest goes on, and its text may quote a twin
            return _Verdict(f"internal_error: {type(error).__name__}", reason="internal_error")


async def _settle(letters: DeadLetters, letter: DeadLetter, verdict: _Verdict) -> _Verdict:
    """Take an event out of the table, or leave it there with the reason of this time."""
    try:
        if verdict.processed:
            await letters.forget(letter)
        elif verdict.reason is not None:
            await letters.give_reason(letter, verdict.reason, verdict.words)
    except LostRaceError:
        return _Verdict("its row was written anew meanwhile")
    except UnavailableError as error:
        return _Verdict(str(error))
    except Exception as error:  # noqa: BLE001 (as in _read: a row that is full takes no longer reason)
        return _Verdict(f"internal_error: {type(error).__name__}")
    return verdict
