"""Stands in for the Azure CLI: answers as it does with `--output json`, from a file of what is there.

`STATE` names a folder. Its `hub.json` holds the hub, and its `calls` gets each call: the command, and its options.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

STATE = Path(os.environ["STATE"])


def shown(hub: dict[str, Any]) -> dict[str, Any]:
    """What each command that only reads prints."""
    return {
        "extension list": [{"name": name} for name in hub["extensions"]],
        "functionapp keys list": {"functionKeys": {"default": "a-host-key"}, "masterKey": "the-master-key"},
        "iot hub identity show": hub["identity"],
        "iot hub message-endpoint list": hub["endpoints"],
        "iot hub message-route list": hub["routes"],
    }


def write(command: str, options: dict[str, str], hub: dict[str, Any]) -> None:
    """Carry out a command that writes."""
    route = {
        "name": options.get("route-name"),
        "source": options.get("source-type"),
        "condition": options.get("condition"),
        "endpointNames": [options.get("endpoint-name")],
        "isEnabled": True,
    }
    match command:
        case "extension add":
            hub["extensions"].append(options["name"])
        case "iot hub identity assign":
            others = (hub["identity"] or {}).get("userAssignedIdentities") or {}
            hub["identity"] = {"userAssignedIdentities": {**others, options["user-assigned"].upper(): {}}}
        case "iot hub message-endpoint create eventhub":
            address = f"{options['endpoint-uri']}/"
            endpoint = {"name": options["endpoint-name"], "endpointUri": address, "entityPath": options["entity-path"]}
            hub["endpoints"].append(endpoint)
        case "iot hub message-route create":
            hub["routes"].append(route)
        case "iot hub message-route update":
            hub["routes"] = [route if known["name"] == route["name"] else known for known in hub["routes"]]
        case _:
            sys.exit(f"ERROR: there is no command {command!r}")


def main() -> None:
    """Answer one call."""
    words = sys.argv[1:]
    first = next(at for at, word in enumerate(words) if word.startswith("--"))
    given = {word[2:]: following for word, following in zip(words[first:], words[first + 1 :], strict=False)}
    options = {name: value for name, value in given.items() if f"--{name}" in words}
    command = " ".join(words[:first])
    with (STATE / "calls").open("a") as calls:
        calls.write(json.dumps([command, options]) + "\n")
    hub = json.loads((STATE / "hub.json").read_text())
    if command in hub["refuses"]:
        sys.exit(hub["refuses"][command])
    if command in shown(hub):
        print(json.dumps(shown(hub)[command]))  # noqa: T201 (its answer)
    else:
        write(command, options, hub)
        (STATE / "hub.json").write_text(json.dumps(hub))


if __name__ == "__main__":
    main()
