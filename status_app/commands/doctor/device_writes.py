"""What doctor writes into the IoT hub: its own device, and a deployment on it. All calls block."""

import secrets
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from azure.core.exceptions import AzureError

from status_app.errors import StatusAppError, UnavailableError
from status_app.iothub.registry import registry_manager
from status_app.iothub.twins import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

MANIFEST: Final = {
    "schemaVersion": "1.1",
    "runtime": {"type": "docker", "settings": {}},
    "systemModules": {
        name: {"type": "docker", "settings": {"image": f"mcr.microsoft.com/azureiotedge-{image}:1.5"}, **more}
        for name, image, more in (
            ("edgeAgent", "agent", {}),
            ("edgeHub", "hub", {"status": "running", "restartPolicy": "always"}),
        )
    },
    "modules": {},
}
"""The desired properties of the deployment, without custom modules."""


class HubRefusalError(StatusAppError):
    """The hub refuses a write. The message has the call, and the answer's status and code."""


class DeviceWrites:
    """Creates, changes and deletes a device with azure-iot-hub's own calls.

    Attributes:
        may_be_there: Whether the device was created, or may have been in spite of an error.

    Raises:
        UnavailableError: Nobody is signed in here.
    """

    def __init__(self, iot_hub: str) -> None:
        try:
            self._manager = registry_manager(iot_hub, TIMEOUT)
        except AzureError as error:  # an identity fetches its token at once
            raise UnavailableError("iothub", type(error).__name__) from None
        self.may_be_there = False

    def deployments(self) -> list[tuple[str, str]]:
        """Return the hub's deployments of modules: their ids and target conditions."""
        answer = self._call(
            "the list of deployments", lambda: self._manager.protocol.configuration.get_configurations(raw=True)
        )
        found = answer.response.json()
        return [
            (item["id"], str(item.get("targetCondition") or ""))
            for item in found
            if (item.get("content") or {}).get("modulesContent")
        ]

    def create(self, device_id: str) -> None:
        """Create an edge device. It never connects: its key is random and not kept."""
        key = b64encode(secrets.token_bytes(32)).decode()
        self.may_be_there = True
        try:
            self._call(
                "a new device",
                lambda: self._manager.create_device_with_sas(device_id, key, key, "enabled", iot_edge=True),
            )
        except HubRefusalError:
            self.may_be_there = False
            raise

    def deploy(self, device_id: str) -> None:
        """Apply a deployment to the device, as `apply_configuration_on_edge_device` does."""
        from azure.iot.hub.models import ConfigurationContent  # noqa: PLC0415 (0.3 s, rarely needed)

        content = ConfigurationContent(modules_content={"$edgeAgent": {"properties.desired": MANIFEST}})
        self._call(
            "a deployment on the device",
            lambda: self._manager.protocol.configuration.apply_on_edge_device(device_id, content),
        )

    def delete(self, device_id: str) -> None:
        """Delete the device. It may be gone already."""
        try:
            self._call("the deletion of the device", lambda: self._manager.delete_device(device_id))
        except HubRefusalError as error:
            if "404" not in str(error):
                raise

    def _call(self, what: str, call: "Callable[[], Any]") -> Any:
        from msrest.exceptions import ClientException, HttpOperationError  # noqa: PLC0415 (as above)

        try:
            return call()
        except HttpOperationError as error:  # its text may quote the body
            code = error.response.headers.get("iothub-errorcode", "")
            raise HubRefusalError(f"{what}: answer {error.response.status_code} {code}".rstrip()) from None
        except (AzureError, ClientException, ValueError) as error:
            raise UnavailableError("iothub", type(error).__name__) from None
