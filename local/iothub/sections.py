"""One section of a twin's properties, `desired` or `reported`: its values, their `$metadata` and its `$version`.

Every function returns a new section and leaves the old one unchanged.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

type Section = Mapping[str, Any]

NEVER: Final = "0001-01-01T00:00:00Z"
"""The hub's time for events that have not happened."""


def hub_time(at: datetime) -> str:
    """Format a time as the hub does: UTC, with seven decimals (a tick is 100 ns)."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


def new_section() -> Section:
    """Return the section of a new identity."""
    return {"$metadata": {"$lastUpdated": NEVER}, "$version": 1}


def merge(section: Section, patch: Mapping[str, Any], stamp: Mapping[str, Any]) -> Section:
    """Apply a patch: null removes a key, an object is merged, anything else replaces.

    All keys of the patch are stamped, changed or not, as in the real hub.
    """
    values, metadata = _merge(_values(section), section["$metadata"], patch, stamp)
    return {**values, "$metadata": metadata, "$version": section["$version"] + 1}


def replace(section: Section, content: Mapping[str, Any], stamp: Mapping[str, Any]) -> Section:
    """Replace the content of a section. Unchanged values keep their stamps."""
    metadata = _restamp(_values(section), section["$metadata"], content, stamp)
    return {**content, "$metadata": {**metadata, **stamp}, "$version": section["$version"] + 1}


def excerpt(section: Section, patch: Mapping[str, Any]) -> Section:
    """Return a patch with the `$metadata` of its keys and the resulting `$version`."""
    return {**patch, "$metadata": _metadata_of(section["$metadata"], patch), "$version": section["$version"]}


def _values(section: Section) -> dict[str, Any]:
    return {key: value for key, value in section.items() if not key.startswith("$")}


def _merge(
    values: Mapping[str, Any], metadata: Mapping[str, Any], patch: Mapping[str, Any], stamp: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    merged, stamped = dict(values), {**_values(metadata), **stamp}
    for key, new in patch.items():
        if new is None:
            merged.pop(key, None)
            stamped.pop(key, None)
        elif isinstance(new, Mapping):
            old = merged.get(key)
            known, known_metadata = (old, stamped[key]) if isinstance(old, Mapping) else ({}, {})
            merged[key], stamped[key] = _merge(known, known_metadata, new, stamp)
        else:
            merged[key], stamped[key] = new, dict(stamp)
    return merged, stamped


def _restamp(old: Any, metadata: Mapping[str, Any], new: Any, stamp: Mapping[str, Any]) -> Mapping[str, Any]:
    if new == old:
        return metadata
    if not isinstance(new, Mapping):
        return stamp
    known = old if isinstance(old, Mapping) else {}
    return {**stamp, **{key: _restamp(known.get(key), metadata.get(key, {}), new[key], stamp) for key in new}}


def _metadata_of(metadata: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in metadata.items() if key.startswith("$")}
    for key, value in patch.items():
        if key in metadata:
            kept[key] = _metadata_of(metadata[key], value if isinstance(value, Mapping) else {})
    return kept
