"""What runs in the fleet: images with their digests, and versions of edgeAgent, counted from the summaries."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from status_app.fleet_index.profile import Profile
from status_app.queries.answers import Answer, readable
from status_app.queries.pages import IndexedDevices, Page, Place, PlaceError

type _Image = tuple[str, str, str]
"""An image, its digest (empty if no agent reports it) and a module."""
_LONGEST: Final = 120
"""Characters of a part of a place. Three parts fit into a token, whatever their letters."""


async def images(indexed: IndexedDevices, after: Place | None, limit: int) -> Page:
    """Return a page of images by name, digest and module, with the number of devices that report them.

    One request per thousand devices, and one for each device with more images than its summary holds.
    """
    begins = _place(after, 3)
    devices, deployments = Counter[_Image](), defaultdict[_Image, set[str]](set)
    digests = defaultdict[str, set[str]](set)
    for profile in await _profiles(indexed):
        for module, (image, digest) in (profile.images or {}).items():
            key = image, digest or "", module
            devices[key] += 1
            deployments[key] |= {*profile.deployments}
            digests[image] |= {digest} if digest else set()
    answers = [
        (
            _brief(key),
            {
                "image": key[0],
                "digest": key[1] or None,
                "module": key[2],
                "devices": number,
                "deployments": sorted(deployments[key]),
                "digests": len(digests[key[0]]),
            },
        )
        for key, number in sorted(devices.items(), key=lambda item: _brief(item[0]))
    ]
    return _page(answers, begins, limit)


async def agents(indexed: IndexedDevices, after: Place | None, limit: int) -> Page:
    """Return a page of edgeAgent versions, with the number of devices. One request per thousand devices."""
    begins = _place(after, 1)
    devices = Counter[str]()
    for profile in await _profiles(indexed):
        devices[profile.agent_version] += 1
    answers = [
        (_brief((version,)), {"agentVersion": version or None, "devices": number})
        for version, number in sorted(devices.items(), key=lambda item: _brief((item[0],)))
    ]
    return _page(answers, begins, limit)


async def _profiles(indexed: IndexedDevices) -> Sequence[Profile]:
    """Read the profile of every device. If a summary has no room for it, the device is read."""
    entries = [entry for entry in await indexed.index.all_profiles() if "State" in entry.columns]
    found: list[Profile] = []
    for entry in entries:
        for profile in readable([entry.columns], Profile.read, lambda _: entry.key):  # noqa: B023 (called at once)
            if profile.images is not None:
                found.append(profile)
                continue
            stored = await indexed.reader.read(entry.device_id)
            found += readable([stored.rows] if stored.is_whole else [], Profile.of, lambda _: entry.key)  # noqa: B023
    return found


def _brief(names: Iterable[str]) -> Place:
    """Return the place of names. A long name, which a device may report, is cut and ends with its digest."""
    return tuple(
        name
        if len(name) <= _LONGEST
        else name[: _LONGEST - 64] + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        for name in names
    )


def _page(answers: Sequence[tuple[Place, Answer]], begins: Place | None, limit: int) -> Page:
    wanted = [item for item in answers if begins is None or item[0] > begins]
    return Page([answer for _, answer in wanted[:limit]], wanted[limit - 1][0] if len(wanted) > limit else None)


def _place(after: Place | None, parts: int) -> Place | None:
    if after is not None and len(after) != parts:
        raise PlaceError
    return after
