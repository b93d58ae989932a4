"""The `$edgeAgent` twins of a hub, from the service side."""

import bisect
import hashlib
import itertools
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from local.iothub.sections import NEVER, hub_time, merge, new_section, replace

type Twin = Mapping[str, Any]
"""A whole twin. Changes replace it and never modify it, so what was read stays valid."""

EDGE_AGENT: Final = "$edgeAgent"


class Operation(StrEnum):
    """The operation of a hub's event (`opType`)."""

    UPDATE_TWIN = "updateTwin"
    REPLACE_TWIN = "replaceTwin"
    CREATE_DEVICE = "createDeviceIdentity"
    DELETE_DEVICE = "deleteDeviceIdentity"


@dataclass(frozen=True, slots=True)
class Change:
    """One change that a route sends.

    Attributes:
        twin: The twin after the change; for a deleted device, the last twin.
        at: The hub's time of the change.
        reported_patch: What the device sent; None if anything but the reported section changed.
    """

    operation: Operation
    device_id: str
    twin: Twin
    at: datetime
    reported_patch: Mapping[str, Any] | None = None


class Registry:
    """The identities of a hub, with one `$edgeAgent` twin each.

    Args:
        now: The hub's clock.
        notify: Called with every change, after it is visible to readers.
    """

    def __init__(self, now: Callable[[], datetime], notify: Callable[[Change], object]) -> None:
        self._now = now
        self._notify = notify
        self._twins: dict[str, Twin] = {}
        self._tags: dict[str, Mapping[str, Any]] = {}
        self._identities = itertools.count(100_000_001)

    def __len__(self) -> int:
        return len(self._twins)

    def get(self, device_id: str) -> Twin | None:
        """Return the twin of a device's `$edgeAgent`; None if the hub does not know the device."""
        return self._twins.get(device_id)

    def set_tags(self, device_id: str, tags: Mapping[str, Any]) -> None:
        """Replace the tags of a device's twin. No route of this app reports it.

        Args:
            device_id: A device. It can be created later.
            tags: Any JSON object.
        """
        self._tags[device_id] = tags

    def tags(self, device_id: str) -> Mapping[str, Any]:
        """Return the tags of a device's twin."""
        return self._tags.get(device_id, {})

    def page(self, size: int, after: str | None = None) -> list[Twin]:
        """Return the next `size` twins after the device `after`, in order of device ids."""
        ids = sorted(self._twins)
        start = 0 if after is None else bisect.bisect_right(ids, after)
        return [self._twins[device_id] for device_id in ids[start : start + size]]

    def create(self, device_id: str) -> Change:
        """Create an identity. Its versions start at 1, even if one of that name was deleted before.

        Raises:
            ValueError: The hub has such a device.
        """
        if device_id in self._twins:
            raise ValueError(f"device {device_id!r} exists")
        twin = {
            "deviceId": device_id,
            "moduleId": EDGE_AGENT,
            "etag": _etag(1),
            "deviceEtag": b64encode(str(next(self._identities)).encode()).decode(),
            "status": "enabled",
            "statusUpdateTime": NEVER,
            "connectionState": "Disconnected",
            "lastActivityTime": NEVER,
            "cloudToDeviceMessageCount": 0,
            "authenticationType": "sas",
            "x509Thumbprint": {"primaryThumbprint": None, "secondaryThumbprint": None},
            "modelId": "",
            "version": 1,
            "properties": {"desired": new_section(), "reported": new_section()},
        }
        return self._store(Change(Operation.CREATE_DEVICE, device_id, twin, self._now()))

    def delete(self, device_id: str) -> Change:
        """Delete an identity with all its twins.

        Raises:
            KeyError: The hub has no such device.
        """
        change = Change(Operation.DELETE_DEVICE, device_id, self._twins.pop(device_id), self._now())
        self._notify(change)
        return change

    def put(self, twin: Twin, *, notify: bool = True) -> Change:
        """Store a whole twin unchanged, and notify it as a replacement.

        Args:
            twin: Any JSON object; only its `deviceId` is checked.
            notify: False loses the notification.

        Raises:
            ValueError: It has no device id.
        """
        device_id = twin.get("deviceId")
        if not isinstance(device_id, str) or not device_id:
            raise ValueError(f"a twin needs the id of its device, not {device_id!r}")
        return self._store(Change(Operation.REPLACE_TWIN, device_id, twin, self._now()), notify=notify)

    def apply_desired(
        self,
        device_id: str,
        content: Mapping[str, Any],
        configuration: str | None = None,
        *,
        at: datetime | None = None,
    ) -> Change:
        """Replace the desired properties.

        Args:
            device_id: An existing device.
            content: All desired properties, without `$` keys.
            configuration: The deployment for `$lastUpdatedBy`; None for an individual one.
            at: When it happens; now by default.

        Raises:
            KeyError: The hub has no such device.
        """
        twin, at = self._twins[device_id], at or self._now()
        desired = twin["properties"]["desired"]
        stamp = {"$lastUpdated": hub_time(at), "$lastUpdatedVersion": desired["$version"] + 1}
        if configuration is not None:
            stamp |= {"$lastUpdatedBy": configuration, "$lastUpdatedByDigest": _digest(configuration, content)}
        return self._store(
            Change(Operation.UPDATE_TWIN, device_id, _next(twin, desired=replace(desired, content, stamp)), at)
        )

    def patch_reported(self, device_id: str, patch: Mapping[str, Any], *, at: datetime | None = None) -> Change:
        """Merge a device's report.

        Args:
            device_id: An existing device.
            patch: Nulls remove keys.
            at: When it happens; now by default.

        Raises:
            KeyError: The hub has no such device.
        """
        twin, at = self._twins[device_id], at or self._now()
        reported = merge(twin["properties"]["reported"], patch, {"$lastUpdated": hub_time(at)})
        return self._store(Change(Operation.UPDATE_TWIN, device_id, _next(twin, reported=reported), at, patch))

    def set_configurations(self, device_id: str, configurations: Mapping[str, Any]) -> None:
        """Set the deployments that target a device. It changes no version and is not notified.

        Args:
            device_id: An existing device.
            configurations: Deployment id to `{"status": "Applied"}` or `{"status": "Targeted"}`; empty: no section.

        Raises:
            KeyError: The hub has no such device.
        """
        twin = {key: value for key, value in self._twins[device_id].items() if key != "configurations"}
        self._twins[device_id] = twin | {"configurations": configurations} if configurations else twin

    def set_connected(self, device_id: str, *, connected: bool) -> None:
        """Set whether a device is connected. It changes no version and is not notified.

        Args:
            device_id: An existing device.
            connected: The connection state, at once. A real hub would notice a lost connection only after minutes.

        Raises:
            KeyError: The hub has no such device.
        """
        state = "Connected" if connected else "Disconnected"
        self._twins[device_id] = {**self._twins[device_id], "connectionState": state}

    def _store(self, change: Change, *, notify: bool = True) -> Change:
        self._twins[change.device_id] = change.twin
        if notify:
            self._notify(change)
        return change


def device_twin(twin: Twin) -> Twin:
    """Return the twin of the device itself. Nobody writes it, so it is always new."""
    kept = {key: value for key, value in twin.items() if key not in ("moduleId", "configurations", "tags")}
    return kept | {
        "etag": _etag(1),
        "version": 1,
        "properties": {"desired": new_section(), "reported": new_section()},
    }


def _next(twin: Twin, **sections: Mapping[str, Any]) -> Twin:
    version = twin["version"] + 1
    return {**twin, "etag": _etag(version), "version": version, "properties": {**twin["properties"], **sections}}


def _etag(version: int) -> str:
    return b64encode(version.to_bytes(8)).decode()


def _digest(configuration: str, content: Mapping[str, Any]) -> str:
    """Return eighteen digits, the same for the same content of the same deployment."""
    text = json.dumps([configuration, content], sort_keys=True)
    return str(int.from_bytes(hashlib.sha256(text.encode()).digest()) % 10**18).zfill(18)
