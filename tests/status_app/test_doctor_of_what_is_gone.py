"""doctor where parts of the chain are gone for good, and events wait."""

from datetime import timedelta
from pathlib import Path

from doctor_chain import TWIN, running_chain

from local.stack import TRANSITIONS, TWIN_CHANGES

CONNECTIONS = {TWIN_CHANGES: "TwinChanges", TRANSITIONS: "Transitions"}


async def test_events_that_wait_and_parts_that_are_gone_for_good_are_named(
    tmp_path: Path,
) -> None:
    async with running_chain(tmp_path) as chain:
        chain.stack.event_hubs.faults.refuse(TRANSITIONS, 10**6)
        chain.stack.iot_hub.registry.put(TWIN | {"deviceId": "edge-02"})
        await chain.stack.drained()
        chain.now = timedelta(minutes=6)
        await chain.stack.host.stop()
        chain.stack.iot_hub.registry.put(TWIN | {"deviceId": "edge-03"})
        chain.now = timedelta(minutes=12)
        found = await chain.wrong()
        assert [line for line in found if line.startswith("events that are not published: 1 wait")]
        assert [line for line in found if line.startswith("trigger on_twin_changes: the newest event came ")]
        assert "API: nothing answers at the address (ClientConnectorError)" in found

        await chain.stack.event_hubs.stop()
        await chain.tables.stop()
        found = await chain.wrong()
        for hub in (TWIN_CHANGES, TRANSITIONS):
            assert f"event hub {hub}: nothing answers at the address of {CONNECTIONS[hub]}" in found
        assert [line for line in found if line.startswith("table DeploymentStatus: nothing answers")]
