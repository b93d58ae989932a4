"""doctor where parts of the chain are gone for good, and events wait."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from doctor_chain import TWIN, running_chain

from local.stack import TRANSITIONS, TWIN_CHANGES, running_stack
from status_app.commands.doctor.end_to_end import end_to_end

CONNECTIONS = {TWIN_CHANGES: "TwinChanges", TRANSITIONS: "Transitions"}


async def test_events_that_wait_and_parts_that_are_gone_for_good_are_named(tmp_path: Path, tables: str) -> None:
    async with running_chain(tmp_path, tables) as chain:
        chain.stack.event_hubs.faults.refuse(TRANSITIONS, 10**6)
        chain.stack.iot_hub.registry.put(TWIN | {"deviceId": "edge-02"})
        await chain.stack.drained()
        chain.now = timedelta(minutes=6)
        await chain.stack.host.stop()
        chain.stack.iot_hub.registry.put(TWIN | {"deviceId": "edge-03"})
        chain.now = timedelta(minutes=12)
        found = await chain.wrong()
        assert [line for line in found if line.startswith("events that are not published: on 1 device")]
        assert [line for line in found if line.startswith("trigger on_twin_changes: the newest event came ")]
        assert "API: nothing answers at the address (ClientConnectorError)" in found

        await chain.stack.event_hubs.stop()
        await chain.tables.stop()
        found = await chain.wrong()
        for hub in (TWIN_CHANGES, TRANSITIONS):
            assert f"event hub {hub}: nothing answers at the address of {CONNECTIONS[hub]}" in found
        assert [line for line in found if line.startswith("table DeploymentStatus: nothing answers")]


async def test_a_route_that_leads_nowhere_is_the_step_that_does_not_come(tables: str, tmp_path: Path) -> None:
    async with running_stack(tmp_path, tables, lambda: datetime.now(UTC), routes=False) as stack:
        lines: list[str] = []
        environment = dict(stack.settings) | {"DEPLOYMENT_STATUS_URL": stack.api.removesuffix("/api")}
        assert await end_to_end(environment, lines.append, lambda: True, patience=0) == 1
        assert lines[3].startswith("WRONG    row: pending, never_reported: not within 0 s")
        assert lines[4].startswith("removed  ")
        assert len(stack.iot_hub.registry) == 0
