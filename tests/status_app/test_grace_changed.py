"""A grace period that an operator changes while something is stuck: flag, StuckSince and StuckAt go on to agree."""

from datetime import timedelta

import pytest
from app_over_azurite import App, flags, fresh_app

MINUTE = timedelta(minutes=1)
GRACE = 15 * MINUTE
BACKOFF = "048"


def stuck(row: dict[str, object]) -> tuple[object, ...]:
    return row["Stuck"], row.get("StuckSince"), row.get("StuckAt")


@pytest.mark.parametrize("changed", ["PT5M", "PT2H"])
async def test_what_is_stuck_stays_so_since_the_same_time_and_the_new_period_is_shown(
    tables: str, changed: str
) -> None:
    async with fresh_app(tables) as app:
        device = app.put("d", BACKOFF)
        await app.handle(app.event(device))
        await app.flag_stuck(GRACE)
        before = (await app.rows(device))["module:m1"]
        assert before["Stuck"]
        assert before["StuckSince"] == before["StuckAt"]
        app.restart(GRACE_DEFAULT=changed)
        app.report(device, MINUTE, exitCode=3)
        await app.handle(app.event(device))
        await app.flag_stuck(MINUTE)
        after = (await app.rows(device))["module:m1"]
        assert stuck(after) == stuck(before)
        assert after["GracePeriod"] == changed
        assert flags(await app.rows(device)) == [("stuck", "m1")]
        await unverified(app, device)
        assert stuck((await app.rows(device))["module:m1"]) == stuck(before)


async def unverified(app: App, device: str) -> None:
    """Let a look without the hub come by."""
    app.hub.down.add(device)
    await app.flag_stuck(MINUTE)
