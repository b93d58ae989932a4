"""What this host reads from an app's `host.json`."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HostJson:
    """Settings of the host; the defaults are those of Azure Functions with extension bundle 4.

    Attributes:
        max_event_batch_size: Most events that one invocation gets.
        prefetch_count: Events that a partition's reader may hold in advance.
        route_prefix: First segment of every HTTP route, may be empty.
    """

    max_event_batch_size: int = 100
    prefetch_count: int = 300
    route_prefix: str = "api"


def read_host_json(app_dir: Path) -> HostJson:
    """Read `host.json` in `app_dir`; without one the defaults hold.

    Raises:
        ValueError: The file is no JSON, or asks for a first position that this host does not know.
    """
    path = app_dir / "host.json"
    if not path.exists():
        return HostJson()
    extensions = json.loads(path.read_text("utf-8")).get("extensions", {})
    event_hubs = extensions.get("eventHubs", {})
    initial = event_hubs.get("initialOffsetOptions", {}).get("type", "fromStart")
    if initial != "fromStart":
        raise ValueError(f"{path}: initialOffsetOptions.type is {initial!r}, this host knows 'fromStart' only")
    default = HostJson()
    return HostJson(
        max_event_batch_size=event_hubs.get("maxEventBatchSize", default.max_event_batch_size),
        prefetch_count=event_hubs.get("prefetchCount", default.prefetch_count),
        route_prefix=extensions.get("http", {}).get("routePrefix", default.route_prefix).strip("/"),
    )
