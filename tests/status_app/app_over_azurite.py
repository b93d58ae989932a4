"""The app's services over a real Azurite, with a hub and a clock in memory."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from azure.data.tables.aio import TableServiceClient

from status_app.errors import UnavailableError
from status_app.incoming import IncomingEvent
from status_app.services import Services
from status_app.settings import Settings
from status_app.tables.keys import escape
from status_app.twins import TwinPage

CASES = Path(__file__).parents[1] / "cases"
START = datetime(2024, 5, 2, 9, 10, tzinfo=UTC)
"""Soon after the times of the cases, so that nothing in them is stuck yet."""
SECRET = "hunter2-correct-horse"


class Hub:
    """Twins in memory, in the place of the hub: it counts reads, and fails where it is told to."""

    def __init__(self) -> None:
        self.twins: dict[str, dict[str, Any]] = {}
        self.reads: list[str] = []
        self.down: set[str] = set()
        self.page_size = 1000
        self.pages = 0

    async def read(self, device_id: str) -> Mapping[str, Any] | None:
        self.reads.append(device_id)
        if device_id in self.down:
            raise UnavailableError("iothub", "answer 503")
        return self.twins.get(device_id)

    async def page(self, continuation: str | None) -> TwinPage:
        devices = sorted(device for device in self.twins if device > (continuation or ""))
        page = [self.twins[device] for device in devices[: self.page_size]]
        self.pages += 1
        return TwinPage(page, devices[self.page_size - 1] if len(devices) > self.page_size else None)


class App:
    """The app's services over Azurite, with a hub and a clock in memory."""

    def __init__(self, tables: str, **settings: str) -> None:
        self.hub = Hub()
        self.now = START
        self.sequence = 0
        self.prefix = uuid.uuid4().hex[:8]
        environment = {"STATUS_TABLES": tables, "IOT_HUB": "hub1.azure-devices.net", "HISTORY_LIMIT": "200"}
        self.services = Services(Settings.read(environment | settings), clock=lambda: self.now, twins=self.hub)
        self.client = TableServiceClient.from_connection_string(tables)

    def put(self, name: str, case: str, **changes: Any) -> str:
        """Put the twin of a case into the hub, under a device id of this test's own."""
        device = f"{self.prefix}-{name}"
        path = next(CASES.glob(f"{case}_*.json"))
        twin = json.loads(path.read_bytes())["twin"] | {"deviceId": device, "version": 7} | changes
        self.hub.twins[device] = twin
        return device

    def event(self, device: str, body: bytes | None = None, **properties: str) -> IncomingEvent:
        self.sequence += 1
        twin = self.hub.twins.get(device, {})
        known = {
            "iothub-message-schema": "twinChangeNotification",
            "opType": "updateTwin",
            "hubName": "hub1",
            "deviceId": device,
            "moduleId": "$edgeAgent",
            "operationTimestamp": self.now.isoformat(),
        }
        return IncomingEvent(
            body=json.dumps({"version": twin.get("version", 1)}).encode() if body is None else body,
            properties={key: value for key, value in (known | properties).items() if value},
            system_properties={},
            partition_id=self.prefix,
            sequence_number=self.sequence,
            enqueued_time=self.now,
        )

    async def handle(self, *events: IncomingEvent, attempt: int = 0) -> None:
        await (await self.services.twin_changes()).handle(events, attempt=attempt)

    async def rows(self, device: str) -> dict[str, Any]:
        table = self.client.get_table_client("DeploymentStatus")
        query = table.query_entities(f"PartitionKey eq '{escape(device)}'")
        return {row["RowKey"]: row async for row in query}

    async def dead_letters(self) -> list[Any]:
        table = self.client.get_table_client("DeadLetter")
        return [row async for row in table.query_entities(f"PartitionKey eq '{self.prefix}'")]


def transitions(rows: Mapping[str, Any]) -> list[Any]:
    """The transition rows of a device, oldest first."""
    found = [row for key, row in rows.items() if key.startswith("transition:")]
    return sorted(found, key=lambda row: row["Sequence"].value)
