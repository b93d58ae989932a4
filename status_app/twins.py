"""Twins of the IoT hub: read one at a time, as the JSON that the hub holds now."""

import asyncio
import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from status_app.errors import UnavailableError
from status_app.settings import is_connection_string
from status_core.twin import EDGE_AGENT

if TYPE_CHECKING:
    from azure.iot.hub import IoTHubRegistryManager

READERS: Final = 8
"""Reads at once: each holds a kept-alive connection, and S1 allows 100 twin reads a second to the whole hub."""
ATTEMPTS: Final = 4
FIRST_WAIT: Final = 0.5
"""Seconds before the second attempt; each further one waits twice as long, and at random up to half less."""
TIMEOUT: Final = 15
"""Seconds for one answer; the SDK's own default is 100."""

_NOT_FOUND: Final = 404


class TwinReader:
    """Reads `$edgeAgent` twins with azure-iot-hub, which blocks: in threads of its own."""

    def __init__(self, iot_hub: str) -> None:
        self._iot_hub = iot_hub
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="twins")
        self._manager: IoTHubRegistryManager | None = None

    async def read(self, device_id: str) -> Mapping[str, Any] | None:
        """The twin that the hub holds now; None where the device, or its `$edgeAgent`, is not in the hub.

        Raises:
            UnavailableError: The hub does not answer, throttles, or refuses the app, after a few attempts.
        """
        loop = asyncio.get_running_loop()
        for attempt in range(ATTEMPTS):
            try:
                return await loop.run_in_executor(self._threads, self._read, device_id)
            except UnavailableError:
                if attempt == ATTEMPTS - 1:
                    raise
            await asyncio.sleep(FIRST_WAIT * 2**attempt * random.uniform(0.5, 1))  # noqa: S311 (spreads retries)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def close(self) -> None:
        """End the reader's threads; reads under way end first."""
        self._threads.shutdown()

    def _read(self, device_id: str) -> Mapping[str, Any] | None:
        from msrest.exceptions import ClientException, HttpOperationError  # noqa: PLC0415 (comes with azure.iot.hub)

        try:
            twin: Mapping[str, Any] = self._client().get_module_twin(device_id, EDGE_AGENT)
        except HttpOperationError as error:
            status = error.response.status_code
            if status == _NOT_FOUND:
                return None
            raise UnavailableError("iothub", f"answer {status}") from None  # the error may quote the body
        except (ClientException, ValueError) as error:
            raise UnavailableError("iothub", type(error).__name__) from None
        return twin

    def _client(self) -> "IoTHubRegistryManager":
        if self._manager is None:
            from azure.iot.hub import IoTHubRegistryManager  # noqa: PLC0415 (0.3 s, and only where twins are read)

            if is_connection_string(self._iot_hub):
                manager = IoTHubRegistryManager.from_connection_string(self._iot_hub)
            else:
                from azure.identity import DefaultAzureCredential  # noqa: PLC0415 (only with an identity)

                manager = IoTHubRegistryManager.from_token_credential(self._iot_hub, DefaultAzureCredential())
            # Its AMQP client sends to devices, which this app never does; closed here, it is not closed at exit.
            manager.amqp_svc_client.disconnect_sync()
            manager.amqp_svc_client = None
            config = manager.protocol.config
            config.keep_alive = True
            config.connection.timeout = TIMEOUT
            # The SDK's model loses a twin whose types are not the usual ones, and its error quotes the twin.
            manager.protocol.modules._deserialize = _json  # noqa: SLF001
            self._manager = manager
        return self._manager


def _json(_type: str, response: Any) -> Any:
    return response.json()
