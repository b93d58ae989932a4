"""The command replay-dead-letters: processes the events again that were given up."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from status_app.commands.terminal import printable
from status_app.errors import BadEventError, LostRaceError, UnavailableError
from status_app.ingest.dead_letter_body import UnreadableRowError
from status_app.ingest.dead_letters import DeadLetter, DeadLetters
from status_app.ingest.notifications import Notification, OtherEvent, read_notification
from status_app.reconcile.reconciler import Reconciler
from status_app.reconcile.tasks import Notified, Result


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The outcome of one event.

    Attributes:
        words: The text of its line.
        processed: It is done and leaves the table.
        reason: Why it was given up again; None if it was not, or if its row cannot be read.
    """

    words: str
    processed: bool = False
    reason: str | None = None


async def replay_dead_letters(  # noqa: PLR0913 (four of them keyword-only)
    letters: DeadLetters,
    reconciler: Callable[[], Awaitable[Reconciler]],
    echo: Callable[[str], object],
    *,
    reason: str | None,
    dry_run: bool,
    confirm: Callable[[int], bool] = lambda _: True,
) -> bool:
    """Read the device of each stored event again. Events that are processed now leave the table.

    Args:
        letters: The dead letters.
        reconciler: Creates the reconciler; not called if there is nothing to do.
        echo: Prints a line for each event, and a summary.
        reason: Only events that were given up for this reason; None for all.
        dry_run: Only print: read and write nothing.
        confirm: Asks whether to go on with this many events.

    Returns:
        Whether none of the chosen events is left; False if not confirmed.

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
        verdicts = await _reconcile_each(reconciler, notifications) if notifications and not dry_run else {}
        for letter, item in found:
            if isinstance(item, Notification):
                device = item.device_id
                verdict = verdicts.get(device) or _Verdict(f"would be read again ({letter.reason})")
            else:
                device, verdict = "-", item
            if not dry_run:
                verdict = await _settle(letters, letter, verdict)
            is_done = verdict.processed and not dry_run
            counts[is_done] += 1
            echo(printable(f"{letter.name} {device} {'processed' if is_done else 'stays'}: {verdict.words}"))
    echo(f"{counts[True]} processed, {counts[False]} left" if counts else "nothing to replay")
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


async def _reconcile_each(
    reconciler: Callable[[], Awaitable[Reconciler]], notifications: Iterable[Notification]
) -> dict[str, _Verdict]:
    """Reconcile every device once, for all its events of a page.

    Not once for all pages: a later page may hold the event of a change that came after the read.
    """
    # Leave out the version: an operator wants the twin read, even if the stored state is newer.
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
    """Take an event out of the table, or leave it there with its new reason."""
    try:
        if verdict.processed:
            await letters.forget(letter)
        elif verdict.reason is not None:
            await letters.give_reason(letter, verdict.reason, verdict.words)
    except LostRaceError:
        return _Verdict("its row was rewritten meanwhile")
    except UnavailableError as error:
        return _Verdict(str(error))
    except Exception as error:  # noqa: BLE001 (as in _read; a full row takes no longer reason)
        return _Verdict(f"internal_error: {type(error).__name__}")
    return verdict
