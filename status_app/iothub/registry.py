"""The SDK's client of an IoT hub, set up as the app needs it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from status_app.settings import is_connection_string

if TYPE_CHECKING:
    from azure.iot.hub import IoTHubRegistryManager
    from requests import Session


def registry_manager(iot_hub: str, timeout: float) -> "IoTHubRegistryManager":
    """Create the SDK's client of a hub as the app needs it: kept alive, without its own retries, twins as raw JSON.

    Args:
        iot_hub: Host name of the hub, or a connection string.
        timeout: Seconds that the hub may be silent.
    """
    from azure.iot.hub import IoTHubRegistryManager  # noqa: PLC0415 (0.3 s, and only when twins are read)

    if is_connection_string(iot_hub):
        manager = IoTHubRegistryManager.from_connection_string(iot_hub)
    else:
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415 (only with an identity)

        manager = IoTHubRegistryManager.from_token_credential(iot_hub, DefaultAzureCredential())
    # Its AMQP client sends to devices, which this app never does. Closed here, it need not be closed at exit.
    manager.amqp_svc_client.disconnect_sync()
    manager.amqp_svc_client = None
    protocol = manager.protocol
    protocol.config.keep_alive = True
    protocol.config.connection.timeout = timeout
    protocol.config.session_configuration_callback = _timed
    # Its own retries would multiply ours, and lose the status and the Retry-After header.
    retries = protocol.config.retry_policy
    retries.retries = 0
    retries.policy.status_forcelist = ()
    retries.policy.read = False  # like requests: a timeout raises a timeout error
    # Its models drop twins with unusual types, and their errors quote the twin.
    for group in (protocol.modules, protocol.query, protocol.configuration):
        group._deserialize = _unread  # noqa: SLF001
    return manager


def _timed(session: "Session", config: Any, _options: Any, **options: Any) -> Mapping[str, Any]:
    """Mount timed connections on a session of the SDK, one per thread."""
    from status_app.iothub.timed_tls import TimedAdapter  # noqa: PLC0415 (as above)

    if not isinstance(session.adapters["https://"], TimedAdapter):
        session.mount("https://", TimedAdapter(max_retries=config.retry_policy()))
    return options


def _unread(_type: str, _response: object) -> None:
    """Return no model: the JSON is taken from the raw response."""
