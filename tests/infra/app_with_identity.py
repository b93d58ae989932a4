"""A process with the app as Bicep sets it up: every setting from there, every service a stand-in, every way in a token.

It is given a folder and the address of the event hubs. The folder holds the certificate of the servers; `SSL_CERT_FILE`
names the authority that the process trusts.
"""

import asyncio
import json
import os
import ssl
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import certifi

# The clients of Event Hubs and of IoT Hub trust the authorities of this package, whatever the environment sets.
certifi.where = lambda: os.environ["SSL_CERT_FILE"]

from azure.data.tables.aio import TableServiceClient  # noqa: E402 (after the authorities are set)

from checks.infra.app_settings import app_settings  # noqa: E402
from local.azurite import azurite_tables  # noqa: E402
from local.eventhubs import EventHubs  # noqa: E402
from local.host import FunctionsHost  # noqa: E402
from local.ingestion import Ingestion  # noqa: E402
from local.iothub import IotHub  # noqa: E402
from local.managed_identity import ManagedIdentity  # noqa: E402
from status_app.services import services  # noqa: E402

ROOT: Final = Path(__file__).parents[2]
AUTHORITY: Final = Path(os.environ["SSL_CERT_FILE"]).read_bytes()
CLIENT_ID: Final = "11111111-2222-3333-4444-555555555555"
TWIN: Final = json.loads((ROOT / "tests/cases/048_200_module_backoff.json").read_text())["twin"]


async def _no_wait(_seconds: float) -> None:
    """The wait before a retry of the host."""
    await asyncio.sleep(0)


async def run(folder: Path, event_hubs_host: str) -> dict[str, Any]:
    """Let a device report, and return the rows, events, tokens and telemetry that follow."""
    certificate = folder / "local-server.pem", folder / "local-server.key"
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    async with AsyncExitStack() as running:
        ingestion = await running.enter_async_context(Ingestion(tls))
        tables = running.enter_context(azurite_tables(certificate=certificate))
        endpoint = dict(part.partition("=")[::2] for part in tables.split(";"))["TableEndpoint"]
        identity = await running.enter_async_context(ManagedIdentity(CLIENT_ID))
        event_hubs = EventHubs({"twin-changes": 2, "transitions": 4}, host=event_hubs_host, port=5671, tls=tls)
        iot_hub = IotHub(folder / "iot-hub", route=lambda event: event_hubs.append("twin-changes", event))
        for server in (event_hubs, iot_hub):
            await server.start()
            running.push_async_callback(server.stop)
        bundle = folder / "both.pem"  # the IoT hub has an authority of its own
        bundle.write_bytes(iot_hub.ca_file.read_bytes() + AUTHORITY)
        os.environ["REQUESTS_CA_BUNDLE"] = str(bundle)
        resources = {
            "storage.properties.primaryEndpoints.blob": "https://blobs-are-for-the-host.example.com/",
            "storage.properties.primaryEndpoints.table": f"{endpoint}/",
            "identityClientId": CLIENT_ID,
            "'ClientId=${identityClientId};Authorization=AAD'": f"ClientId={CLIENT_ID};Authorization=AAD",
            "insights.properties.ConnectionString": ingestion.connection_string,
            "eventHubsHost": event_hubs_host,
            "iotHubHost": f"localhost:{iot_hub.port}",
            "notify": "[]",  # without an Event Grid topic
        }
        settings = {
            setting.name: resources[setting.expression] if setting.value is None else setting.value
            for setting in app_settings(ROOT / "infra")
        }
        host = FunctionsHost(ROOT, {**settings, **identity.environment}, data_dir=folder, sleep=_no_wait)
        await host.start()
        running.push_async_callback(host.stop)
        iot_hub.registry.put(TWIN)
        await host.processed("twin-changes", event_hubs.last_sequence("twin-changes"))
        for timer in ("resync", "flag_stuck"):
            await host.run_timer(timer)
        await services().close()
        async with TableServiceClient.from_connection_string(tables) as service:
            rows = [row async for row in service.get_table_client("DeploymentStatus").list_entities()]
        return {
            "rows": {row["RowKey"].partition(":")[0]: row.get("State") for row in rows},
            "events": len(event_hubs.events("transitions")),
            "failed": [outcome.exception for outcome in host.invocations if not outcome.ok],
            "audiences": sorted(set(identity.audiences)),
            "metrics": ingestion.metrics,
            "telemetry": json.dumps(ingestion.items),
            "telemetry refused": ingestion.refused,
        }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(Path(sys.argv[1]), sys.argv[2]))))  # noqa: T201 (its answer)
