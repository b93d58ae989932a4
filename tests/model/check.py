"""One history from its beginning to its end, and what must hold then."""

import asyncio
from datetime import timedelta
from unittest.mock import patch

from status_app.fleet_index import projection
from status_app.fleet_index.rows import summary_key
from status_app.reconcile import resync_times
from status_app.reconcile.resync_position import LEASE
from status_app.storage.keys import DEVICE

from .expected_index import lagging
from .hub_list import NAMES, Given, Removed
from .oracle import wrong
from .steps import History, Run, Wait
from .world import World, world

MOST_RUNS = 50
"""Of a cycle: a run takes one twin at least."""
REST = (Run("flag_stuck"), Run("flag_stuck"))


class BrokenPromiseError(AssertionError):
    """The app has not kept what it promises."""


def check(history: History) -> None:
    """Let a history happen, and the app come to rest.

    Raises:
        BrokenPromiseError: Something is not as it must be then.
    """
    with world(history) as found:
        asyncio.run(_happen(found))


async def _happen(found: World) -> None:
    for step in found.history.steps:
        await found.take(step)
    found.hub_list.given = Given.WHOLE
    # One resync, of as many runs as it takes, makes the states right, and the timer of a minute all else.
    await found.take(Wait(60))
    has_unknown = _has_unknown(found)
    await _resync(found)
    await found.settle(*REST)
    if has_unknown:  # what no notification, query or index names is found within a week of resyncs
        for _ in range(len(found.devices) + 1):
            await _resync(found)
        await found.settle(*REST)
    _hold(found, "after the resync", *wrong(found, at_rest=False))
    await found.take(Wait(3 * 3600))
    await found.settle(*REST)
    await found.take(Wait(25 * 3600))  # what was announced of a device that has no row ends after a day
    await _resync(found)
    await found.settle(*REST)
    _hold(found, "at rest", *wrong(found, at_rest=True))
    await found.take(Wait(16 * 60))
    await found.settle(*REST)
    before, late = found.tables.etags(), lagging(found)
    await found.take(Wait(60))
    await _resync(found)
    await found.settle(*REST)
    written = {key for key, etag in found.tables.etags().items() if before.get(key) != etag} - late
    written.discard(("DeploymentIndex", "build", "check"))  # how far the check of the index has come
    written.discard(("DeploymentIndex", "compared", "times"))
    written.discard(("Deployments", "deployments", "list|"))  # when the hub gave its list
    if removed := {NAMES[step.deployment] for step in found.history.steps if isinstance(step, Removed)}:
        # How far devices are in what the hub has no more stays until they change, or the weekly check comes to them.
        written = {key for key in written if key[0] != "DeploymentIndex" and not removed & {*key[2].split("|")}}
    if written:
        _hold(found, "later", f"nothing happened, and the app has written {sorted(written)}")


async def _resync(found: World) -> None:
    """Go on with the cycle that is under way, if any, then take a whole one."""
    with patch.object(resync_times, "WHOLE_EVERY", timedelta(0)):
        if _is_under_way(found):
            await found.take(Wait(int(LEASE.total_seconds())))  # a run that was killed left its lease
            await _cycle(found)
        await _cycle(found)


def _has_unknown(found: World) -> bool:
    """Whether only the release before has ever seen a device that the hub has no more: the index does not name it."""
    named = {row["RowKey"] for row in found.tables.rows(projection.TABLE)}
    gone = {name: found.rows(name).get(DEVICE) for name, device in found.devices.items() if device.twin is None}
    return any(row and "Format" not in row and summary_key(name) not in named for name, row in gone.items())


async def _cycle(found: World) -> None:
    """Take runs until one has left no position: that is the end of a cycle."""
    await found.settle(Run("resync"))
    runs = 1
    while _is_under_way(found):
        if runs > MOST_RUNS:
            _hold(found, "in a cycle", f"resync has not come to its end in {runs} runs")
        await found.settle(Run("resync"))
        runs += 1


def _is_under_way(found: World) -> bool:
    return bool(found.tables.tables.get("DeploymentIndex", {}).get("resync"))


def _hold(found: World, when: str, *texts: str) -> None:
    if texts:
        raise BrokenPromiseError("\n".join((f"{when}:", *texts, "--", *found.log.lines[-40:])))
