"""Adds the route of the twin changes to an IoT hub that was there before. azd runs it after each provisioning.

It reads first, and writes only what is not as it should be: a second run writes nothing. Why it is no part of
`infra/`: docs/decisions/0007-the-route-of-an-existing-iot-hub.md.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from scripts.hooks.azure_cli import HookError, az, outputs

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "edge-deployment-status"
"""Of the endpoint; the names of the routes begin with it."""

ROUTES = {
    f"{NAME}-twins": ("TwinChangeEvents", "moduleId = '$edgeAgent'"),
    f"{NAME}-lifecycle": ("DeviceLifecycleEvents", "true"),
}
"""Source and condition of each route."""

_NAMED = ("ROUTE_IOT_HUB_GROUP", "ROUTE_IDENTITY", "ROUTE_ENDPOINT_URI", "AZURE_RESOURCE_GROUP", "TWIN_CHANGES_HUB")


def route(environment: Mapping[str, str]) -> str:
    """Give the hub what it lacks, and say what was done.

    Raises:
        HookError: Variables are missing, az is, it refused, or the endpoint leads to another event hub.
    """
    is_new, hub, subscription = outputs(environment, "IOT_HUB_IS_NEW", "ROUTE_IOT_HUB", "AZURE_SUBSCRIPTION_ID")
    if is_new.lower() == "true":
        return f"the IoT hub {hub} was made here, with its route"
    group, identity, address, our_group, event_hub = outputs(environment, *_NAMED)
    if not any(extension["name"] == "azure-iot" for extension in az("extension list")):
        az("extension add", name="azure-iot")
    place = {"resource_group": group, "subscription": subscription}
    done = _assign(identity, {"name": hub, **place})
    hub_named = {"hub_name": hub, **place}
    endpoints = az("iot hub message-endpoint list", endpoint_type="eventhub", **hub_named) or []
    endpoint = next((each for each in endpoints if each["name"] == NAME), None)
    if endpoint is None:
        az(
            "iot hub message-endpoint create eventhub",
            endpoint_name=NAME,
            endpoint_resource_group=our_group,
            endpoint_uri=address,
            entity_path=event_hub,
            identity=identity,
            **hub_named,
        )
        done.append("the endpoint")
    elif not _leads_to(endpoint, address, event_hub):
        raise HookError(
            f"the endpoint {NAME} of {hub} leads to another event hub, {endpoint['endpointUri']}/"
            f"{endpoint['entityPath']}. Delete it first, and its routes with it: az iot hub message-endpoint delete "
            f"--hub-name {hub} --endpoint-name {NAME} --force"
        )
    done += _set_routes(hub_named)
    changed = f"added or corrected: {', '.join(done)}" if done else "nothing was changed"
    return f"the IoT hub {hub} has its route to {address}/{event_hub}: {changed}"


def _assign(identity: str, hub: Mapping[str, str]) -> list[str]:
    """Let the hub send as the identity, beside those that it has."""
    assigned = az("iot hub identity show", **hub) or {}
    if identity.lower() in {
        each.lower() for each in assigned.get("userAssignedIdentities") or {}
    }:  # ids differ in case
        return []
    az("iot hub identity assign", user_assigned=identity, **hub)
    return ["the identity"]


def _leads_to(endpoint: Mapping[str, Any], address: str, event_hub: str) -> bool:
    # The hub may put a slash or a port behind the name of the host.
    host = endpoint["endpointUri"].rpartition("//")[2].rstrip("/").partition(":")[0]
    return bool(host.lower() == address.rpartition("//")[2].lower() and endpoint["entityPath"] == event_hub)


def _set_routes(hub_named: Mapping[str, str]) -> list[str]:
    done = []
    routes = {each["name"]: each for each in az("iot hub message-route list", **hub_named) or []}
    for name, (source, condition) in ROUTES.items():
        known = routes.get(name)
        wanted = {"source": source, "condition": condition, "endpointNames": [NAME], "isEnabled": True}
        if known is None or any(known.get(key) != value for key, value in wanted.items()):
            az(
                f"iot hub message-route {'create' if known is None else 'update'}",
                route_name=name,
                endpoint_name=NAME,
                source_type=source,
                condition=condition,
                enabled="true",
                **hub_named,
            )
            done.append(f"the route {name}")
    return done


def main() -> int:
    """Run the hook; 1 where it cannot do its work."""
    try:
        print(route(os.environ))
    except HookError as error:
        print(error, file=sys.stderr)
        print("to try this step alone again: azd hooks run postprovision", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
