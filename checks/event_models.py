"""`python -m checks.event_models`: prints status_core/events.py, the types of events, made of schemas/."""

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
_TYPES: Final[Mapping[str, str]] = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
}
_OBJECTS: Final[Mapping[str, str]] = {
    "comparison": "Comparison",
    "data": "DeviceEventData",
    "deployment": "DeploymentEventData",
}
"""Definitions that become classes, in the order in which these need each other."""
_HEAD: Final = '''"""The events of the event hub `transitions`, as types: for programs that read them.

Made of schemas/definitions.json by `make schemas`: change that file. A later version may tell more than is here.
"""

from typing import Literal, NotRequired, TypedDict
'''
_ENVELOPES: Final = '''

class DeviceEvent(TypedDict):
    """An event about a device or a module: a CloudEvent in structured JSON."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: DeviceEventType
    subject: NotRequired[str]
    time: str
    sequence: str
    severity: Literal["info", "warning", "error"]
    dataschema: str
    datacontenttype: Literal["application/json"]
    data: DeviceEventData


class DeploymentEvent(TypedDict):
    """An event about a deployment as a whole: a CloudEvent in structured JSON."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: DeploymentEventType
    subject: str
    time: str
    sequence: str
    severity: Literal["info", "warning", "error"]
    dataschema: str
    datacontenttype: Literal["application/json"]
    data: DeploymentEventData


type Event = DeviceEvent | DeploymentEvent
"""Any event: it is about a device where `data` has a `deviceId`."""
'''


def source(folder: Path) -> str:
    """The text of the module.

    Args:
        folder: That of the schemas.
    """
    definitions = json.loads((folder / "definitions.json").read_text())["$defs"]
    types = sorted(path.stem for path in folder.glob("edge.*.json"))
    of_devices = [name for name in types if name.count(".") == 3]  # noqa: PLR2004 (edge.deployment.device.stuck)
    lines = [_HEAD]
    lines += _alias("DeviceEventType", of_devices)
    lines += _alias("DeploymentEventType", [name for name in types if name not in of_devices])
    for name, called in _OBJECTS.items():
        lines += _class(called, definitions[name], definitions)
    return "\n".join(lines) + f"\n{_ENVELOPES}"


def _alias(name: str, words: list[str]) -> Iterator[str]:
    yield f"type {name} = Literal["
    yield from (f'    "{word}",' for word in words)
    yield "]"


def _class(name: str, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n\nclass {name}(TypedDict):"
    summary = schema.get("description", "A value of a twin, beside what it was compared with.")
    yield from _doc(f"{summary.partition('. ')[0].removesuffix('.')}.")
    yield ""
    for key, described in schema["properties"].items():
        kind = _kind(described, definitions)
        yield f"    {key}: {kind if key in schema['required'] else f'NotRequired[{kind}]'}"
        if "description" in described:
            yield from _doc(described["description"])


def _doc(text: str) -> Iterator[str]:
    text = text if text.endswith(".") else f"{text}."
    lines = textwrap.wrap(f'"""{text}"""', 116)
    yield from (f"    {line}" for line in lines)


def _kind(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """A schema as an annotation."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _OBJECTS.get(name) or _kind(definitions[name], definitions)
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_kind(part, definitions) for part in schema["anyOf"]))
    if "enum" in schema:
        return "str"  # a later version may have more words
    match schema["type"]:
        case "array":
            return f"list[{_kind(schema['items'], definitions)}]"
        case "object":
            return f"dict[str, {_kind(schema['additionalProperties'], definitions)}]"
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " | ".join(_TYPES[name] for name in names)


if __name__ == "__main__":
    sys.stdout.write(source(ROOT / "schemas"))
