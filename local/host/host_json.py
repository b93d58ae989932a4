"""The settings that this host reads from `host.json`."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HostJson:
    """Settings of the host. Defaults are those of Azure Functions with extension bundle 4.

    Attributes:
        max_event_batch_size: Most events per invocation.
        prefetch_count: Events that a partition's reader can prefetch.
        route_prefix: First segment of every HTTP route, can be empty.
    """

    max_event_batch_size: int = 100
    prefetch_count: int = 300
    route_prefix: str = "api"


def read_host_json(app_dir: Path) -> HostJson:
    """Read `host.json` in `app_dir`; without one use the defaults.

    Raises:
        ValueError: The file is not JSON, or has an initial position that this host does not support.
    """
    path = app_dir / "host.json"
    if not path.exists():
        return HostJson()
    extensions = json.loads(path.read_text("utf-8")).get("extensions", {})
    event_hubs = extensions.get("eventHubs", {})
    initial = event_hubs.get("initialOffsetOptions", {}).get("type", "fromStart")
    if initial != "fromStart":
        raise ValueError(f"{path}: initialOffsetOptions.type is {initial!r}, this host only supports 'fromStart'")
    default = HostJson()
    return HostJson(
        max_event_batch_size=event_hubs.get("maxEventBatchSize", default.max_event_batch_size),
        prefetch_count=event_hubs.get("prefetchCount", default.prefetch_count),
        route_prefix=extensions.get("http", {}).get("routePrefix", default.route_prefix).strip("/"),
    )
