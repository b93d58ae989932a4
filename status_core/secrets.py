"""Finds what is secret in a twin, and blanks it in texts that may quote it.

Secrets are the values of a module's `env`, the registry credentials, and everything in createOptions outside `_OPEN`:
environment, command lines, labels. The agent reports them in plain text (edge-agent: Docker/DockerEnvironment.cs, and
runtime.settings.registryCredentials). This package never copies them into a status. But the agent's free text could
quote one, so it is searched.

Not secret is what the twin shows openly anyway and operators need to read: names of modules, images and registries,
ports, networks, host paths, and the ordinary words of the agent and of Docker.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from status_core.blanking import REDACTED, Blanker, key_spans, quotable, replaced
from status_core.create_options import create_options, create_options_parts
from status_core.descriptions import DESCRIPTION_LIMIT
from status_core.reading import as_object, object_at, text

SHORTEST: Final = 4
"""Shorter values are not searched: `1` or `on` would blank ordinary words."""

MASK: Final = "\x00"
"""Replaces each character of a secret, so that positions in the masked text match the original."""
_MASKS: Final = re.compile(f"{MASK}+")

_OPEN: Final = frozenset(
    (
        ("ExposedPorts",),
        ("Image",),
        ("NetworkingConfig",),
        ("Volumes",),
        *(
            ("HostConfig", key)
            for key in (
                *("Binds", "CapAdd", "CapDrop", "CgroupnsMode", "DeviceCgroupRules", "Devices", "Dns", "ExtraHosts"),
                *("IpcMode", "Isolation", "Links", "NetworkMode", "PidMode", "PortBindings", "RestartPolicy"),
                *("Runtime", "UTSMode", "UsernsMode", "VolumesFrom"),
            )
        ),
        *(("HostConfig", "Mounts", key) for key in ("Consistency", "Source", "Target", "Type")),
        ("HostConfig", "LogConfig", "Type"),
    )
)
"""Places in createOptions whose values are ports, networks, host paths, or words of Docker."""
_DEPTH: Final = 4
"""How many keys of a place are kept: one more than the longest in `_OPEN`."""
_NESTED_OPTIONS: Final = ("Labels", "net.azure-devices.edge.create-options")
"""The label in which the runtime keeps the createOptions of edgeAgent."""
_WORDS_OF_THE_AGENT: Final = """
access accessed address already agent allocated amd64 arch arm64 attempt authentication azure bind bridge bytes call
called calling cancel canceled cannot caused certificate code command config configuration connect connection
container could create created creating daemon dead debug denied deployment device devices directory disk docker
does driver edge edgeagent edgehub empty endpoint engine error errors exec executable exist exists exited external
failed file format found from health host http https identity image info internal invalid iotedge layer left limit
linux list lookup manifest message missing module modules more mount mounting name network none null occurred
operation option path permission plan port prepare process programming proxy pull refused registry remote remove
repository request required reset resource response restart running runtime server service socket space start
started starting state status stop stopped store system task temporary this timeout true type unable unauthorized
unknown unreachable update userland valid value version volume warning waiting windows with
default false localhost 127.0.0.1 0.0.0.0
"""
_OWNER: Final = "microsoft.azure.devices.edge.agent"
_ORDINARY: Final = frozenset((*_WORDS_OF_THE_AGENT.split(), _OWNER))
"""Words of edged, of Docker and of registries in the texts that they write, and the label that names the runtime."""
_WHOLE_TEXTS: Final = (
    "",
    "A task was canceled.",
    "Agent configuration format is invalid.",
    "Agent is not running",
    "This device has an empty configuration for the edge agent. Please set a deployment manifest.",
)
"""Texts that the agent always writes exactly like this, without anything from the twin."""
_GROUPS: Final = ("modules", "systemModules")
_COMMANDS: Final = ("Cmd", "Entrypoint", "Healthcheck", "Shell")
_BETWEEN: Final = re.compile(r"[;\r\n]+")
_ASSIGNED: Final = re.compile(r"=([^\s;,&=]+)")
_USERINFO: Final = re.compile(r"://[^\s/:@]*:([^\s/@]+)@")
_ESCAPED: Final = re.compile(r'["\\\x00-\x1f]')
_QUOTED: Final = re.compile(r'"([^"]*)"')
_PARTS: Final = re.compile(r"[/:@]+")
_UNWRITABLE: Final = 10**4300
"""The first number that Python refuses to write in digits."""


def masked(description: str, twin: Any) -> str:
    """Return the first `DESCRIPTION_LIMIT` characters, with `MASK` for each character of a secret or key."""
    if description in _WHOLE_TEXTS:
        return description
    secrets = _secrets(twin)
    longest = max(map(len, secrets), default=0)
    # Search beyond the limit: it may cut a secret, or what looks like a key.
    window = description[: DESCRIPTION_LIMIT + max(DESCRIPTION_LIMIT, longest)]
    secrets = quotable(secrets, window)
    if secrets and Blanker(secrets).spans(window):
        window = replaced(window, Blanker(secrets - _shown(twin)).spans(window), MASK.__mul__)
    return replaced(window, key_spans(window), MASK.__mul__)[:DESCRIPTION_LIMIT]


def collapse(text_with_masks: str) -> str:
    """Replace the masks in a text, for display."""
    return _MASKS.sub(REDACTED, text_with_masks) if MASK in text_with_masks else text_with_masks


def secret_values(twin: Any) -> list[str]:
    """Return the secret values of a twin, including as JSON escapes them."""
    return sorted(_secrets(twin) - _shown(twin))


def _secrets(twin: Any) -> set[str]:
    """Return the values at secret places. Some of them may be shown elsewhere."""
    values, options = set[str](), dict[str, Mapping[str, Any]]()  # usually the same in desired and reported
    for properties in _sections(twin):
        credentials = as_object(as_object(properties.get("runtime")).get("settings")).get("registryCredentials")
        if credentials:
            values.update(_texts(credentials))
        for module in _modules(properties):
            if module.get("env"):
                values.update(_texts(module["env"]))
            settings = as_object(module.get("settings"))
            options[create_options(settings)] = settings
            values.update(value for value, is_open in _in_objects(settings) if not is_open)
    for written, settings in options.items():
        values.update(value for value, is_open in _options(written, settings) if not is_open)
    plain = {value for value in values if len(value) >= SHORTEST and value.lower() not in _ORDINARY}
    # A text that quotes JSON has the value as JSON escapes it.
    return plain | {json.dumps(value, ensure_ascii=False)[1:-1] for value in plain if _ESCAPED.search(value)}


def _shown(twin: Any) -> set[str | None]:
    """Return what a twin shows openly: names of the device, modules, images and registries, and the open places."""
    shown = {text(as_object(twin).get("deviceId"))}
    for properties in _sections(twin):
        for credentials in _members(object_at(properties, "runtime", "settings").get("registryCredentials")):
            address = text(as_object(credentials).get("address"))
            if address is not None:  # an admin user has the name of its registry
                shown |= {address, address.partition(".")[0]}
        for group in _GROUPS:
            shown.update(as_object(properties.get(group)))
        for module in _modules(properties):
            settings = as_object(module.get("settings"))
            image = text(settings.get("image"))
            if image is not None:
                shown |= {image, *_PARTS.split(image)}
            for value, is_open in (*_options(create_options(settings), settings), *_in_objects(settings)):
                if is_open:
                    shown.update(_open_pieces(value))
    return shown


def _sections(twin: Any) -> Iterator[Mapping[str, Any]]:
    properties = object_at(twin, "properties")
    yield from (as_object(properties.get(section)) for section in ("desired", "reported"))


def _modules(properties: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for group in _GROUPS:
        yield from (as_object(module) for module in _members(properties.get(group)))


def _members(value: Any) -> Iterable[Any]:
    """Return the members of an object or array, or a single value as a list."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else [value]


def _options(options: str, settings: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield every value in a module's createOptions, and whether it is open."""
    if options in ("", "{}"):
        return
    try:
        found = json.loads(options)
    except (ValueError, RecursionError):
        # Take everything in quotes, and each part as a whole.
        parts = [*_QUOTED.findall(options), *create_options_parts(settings).values()]
        yield from ((value, False) for value in _texts(parts))
        return
    yield from _places(found)


def _places(options: Any) -> Iterator[tuple[str, bool]]:
    waiting: list[tuple[Any, tuple[str, ...]]] = [(options, ())]
    while waiting:
        part, place = waiting.pop()
        is_open = place in _OPEN or place[:2] in _OPEN or place[:1] in _OPEN
        if isinstance(part, dict):
            if is_open:
                yield from ((key, True) for key in part)
            waiting += [(value, (*place, key)[:_DEPTH]) for key, value in part.items()]
        elif isinstance(part, list):
            waiting += [(value, place) for value in part]
        elif is_open and isinstance(part, str):
            yield part, True
        elif isinstance(part, str):
            yield from ((value, False) for value in _texts(part))
            if place and place[0] in _COMMANDS:
                yield from ((word, False) for word in part.split())
            if place == _NESTED_OPTIONS:
                yield from _nested(part)


def _nested(options: str) -> Iterator[tuple[str, bool]]:
    try:
        yield from _places(json.loads(options))
    except (ValueError, RecursionError):
        return


def _in_objects(settings: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield the same for createOptions that are an object instead of text."""
    for part in create_options_parts(settings).values():
        if isinstance(part, dict | list):
            yield from _places(part)


def _open_pieces(value: str) -> Iterator[str]:
    """Yield a value of an open place and its parts: the number of a port, the paths of a bind."""
    yield value
    for piece in value.split(":"):
        yield piece
        if not piece.startswith("/"):
            yield from piece.split("/")


def _texts(value: Any) -> Iterator[str]:
    """Yield every string and number in a JSON value, and the parts of connection strings, URLs and commands."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
        elif isinstance(part, str):
            yield from _parts_of(part)
            if part.startswith(("{", "[")):
                try:
                    waiting.append(json.loads(part))
                except (ValueError, RecursionError):
                    continue
        elif isinstance(part, int | float) and not isinstance(part, bool) and abs(part) < _UNWRITABLE:
            yield str(part)


def _parts_of(value: str) -> Iterator[str]:
    for piece in {value, *_BETWEEN.split(value)}:
        yield piece.strip()
        yield piece.partition("=")[2].strip()
    yield from _ASSIGNED.findall(value)
    yield from _USERINFO.findall(value)
