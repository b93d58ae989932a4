"""Hostile JSON: golden twins with other values in some of their places."""

import json
from pathlib import Path
from random import Random
from typing import Any, Final

SECRET: Final = "hunter2-correct-horse"
TWINS: Final[tuple[Any, ...]] = tuple(
    json.loads(path.read_bytes())["twin"] for path in sorted((Path(__file__).parents[1] / "cases").glob("*.json"))
)
TEXTS: Final = (
    *(
        "running",
        "stopped",
        "failed",
        "backoff",
        "unknown",
        "never",
        "Applied",
        "Targeted",
        "$upstream:5000/a",
        "docker",
    ),
    *("", " ", "$", "|", "~", "/", "\ud800", "\udfff\ud800", "\x00\x1b[2J\r\n", "x" * 3000, "{version} %s", "é" * 300),
    *("2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "2026-02-30", "PT15M", "P-1D"),
    *('{"Labels":{"deployment-status.grace":"PT1S"}}', '{"Labels":{"deployment-status.grace":"P9999999D"}}', "{", "[]"),
)
NUMBERS: Final = (
    *(0, -1, 1, 11, 12, 137, 200, 400, 406, 412, 417, 500, 2**31, 2**53, 2**63 - 1, 2**63, 10**400),
    *(0.5, 11.0, float("nan"), float("inf"), -0.0, 1e308),
)
KEYS: Final = (
    *(
        "modules",
        "systemModules",
        "edgeAgent",
        "edgeHub",
        "settings",
        "image",
        "createOptions",
        "createOptions01",
        "env",
    ),
    *(
        "status",
        "runtimeStatus",
        "code",
        "$version",
        "$metadata",
        "$lastUpdated",
        "lastDesiredStatus",
        "configurations",
    ),
    *("lastDesiredVersion", "exitCode", "version", "deviceId", "", "$x", "\udfff", "m" * 200),
)


def hostile(random: Random) -> Any:
    """A golden twin after one to eight mutations, or now and then any value in its place."""
    if random.random() < 0.02:
        return value(random)
    twin = fresh(random.choice(TWINS))
    for _ in range(random.randint(1, 8)):
        mutate(random, twin)
    return twin


def fresh(part: Any) -> Any:
    """A copy of a JSON value; `copy.deepcopy` takes ten times as long."""
    if isinstance(part, dict):
        return {key: fresh(inner) for key, inner in part.items()}
    return [fresh(inner) for inner in part] if isinstance(part, list) else part


def mutate(random: Random, twin: Any) -> None:
    """Change one place: another value, no value, one more key, or the value of another place of a twin."""
    place = descend(random, twin)
    if not isinstance(place, dict):
        return
    keys = list(place)
    kind = random.randrange(5)
    if kind == 0 or not keys:
        place[random.choice(KEYS)] = value(random)
    elif kind == 1:
        del place[random.choice(keys)]
    elif kind == 2:
        place[random.choice(keys)] = fresh(descend(random, random.choice(TWINS)))
    else:
        place[random.choice(keys)] = value(random)


def descend(random: Random, twin: Any) -> Any:
    """A place of a twin, its objects more often than what is in them."""
    place = twin
    while isinstance(place, dict) and place and random.random() < 0.75:
        inner = place[random.choice(list(place))]
        if not isinstance(inner, dict):
            return place
        place = inner
    return place


def value(random: Random, depth: int = 0) -> Any:
    """Any JSON value."""
    kind = random.randrange(10)
    if kind < 4 or depth > 3:
        return random.choice(TEXTS)
    if kind < 7:
        return random.choice(NUMBERS)
    if kind == 7:
        return random.choice((None, True, False))
    if kind == 8:
        return [value(random, depth + 1) for _ in range(random.randrange(3))]
    return {random.choice(KEYS): value(random, depth + 1) for _ in range(random.randrange(4))}


def with_secrets(twin: Any) -> Any:
    """A golden twin with a secret wherever there may be one, and an agent that quotes it."""
    for section in ("desired", "reported"):
        properties = twin["properties"][section]
        for group in ("modules", "systemModules"):
            for module in properties.get(group, {}).values():
                module["env"] = {"PASSWORD": {"value": SECRET}}
                module.setdefault("settings", {})["createOptions"] = json.dumps({"Env": [f"TOKEN={SECRET}"]})
        registry = {"address": "r.example", "username": SECRET, "password": SECRET}
        properties.setdefault("runtime", {})["settings"] = {"registryCredentials": {"r": registry}}
    status = twin["properties"]["reported"].setdefault("lastDesiredStatus", {})
    status["description"] = f"{status.get('description', '')} {SECRET}"
    return twin
