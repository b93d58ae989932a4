"""All metrics of the app. Without a listener, recorded values are dropped at the cost of a call.

Attributes have values from a closed set, never names from the fleet: devices, modules and deployments are in log lines
and rows. Every metric counts what happened in an interval. None is a level, which a process would go on reporting after
another one has taken over.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric.

    Attributes:
        kind: `counter`: values add up. `histogram`: their number, sum, minimum and maximum are kept.
        unit: In UCUM notation.
        attributes: The names of its attributes.
    """

    name: str
    kind: Literal["counter", "histogram"]
    unit: str
    attributes: tuple[str, ...]
    description: str


type Listener = Callable[[Metric, float, Mapping[str, str]], None]
"""Receives a metric, a value and its attributes."""

TRANSITIONS: Final = Metric(
    "edge_deployment.transitions",
    "counter",
    "{transition}",
    ("kind", "from", "to", "reason"),
    "Changes of state of devices and modules",
)
STUCK: Final = Metric(
    "edge_deployment.stuck", "histogram", "{module}", ("of",), "Stuck modules or devices, once a minute"
)
LAG: Final = Metric("edge_deployment.lag", "histogram", "s", (), "Age of the oldest event of a batch when it begins")
DEAD_LETTERS: Final = Metric(
    "edge_deployment.dead_letters", "counter", "{event}", ("reason",), "Events that were given up"
)
TWIN_READS: Final = Metric("edge_deployment.twin_reads", "counter", "{read}", ("outcome",), "Twins that were read")
TABLE_REQUESTS: Final = Metric(
    "edge_deployment.table_requests",
    "counter",
    "{request}",
    ("table", "op", "outcome"),
    "Answers of the table service, including those to retries",
)

TIMER_SUCCESS: Final = Metric(
    "edge_deployment.timer.success", "counter", "{run}", ("timer",), "Completed runs of a timer"
)
RESYNC_HEALED: Final = Metric(
    "edge_deployment.resync.healed", "counter", "{change}", (), "Changes that a resync found without a notification"
)
ROLLOUTS_STALLED: Final = Metric(
    "edge_deployment.rollouts.stalled", "histogram", "{deployment}", (), "Stalled deployments, once a minute"
)
ROLLOUTS_OVER_THRESHOLD: Final = Metric(
    "edge_deployment.rollouts.over_threshold",
    "histogram",
    "{deployment}",
    (),
    "Deployments under way with more failing devices than allowed, once a minute",
)

METRICS: Final = (
    *(TRANSITIONS, STUCK, LAG, DEAD_LETTERS, TWIN_READS, TABLE_REQUESTS),
    *(TIMER_SUCCESS, RESYNC_HEALED, ROLLOUTS_STALLED, ROLLOUTS_OVER_THRESHOLD),
)

_listener: Listener | None = None


def listen(listener: Listener | None) -> None:
    """Send all values of this process to a listener from now on; None for no listener."""
    global _listener  # noqa: PLW0603 (the one place that all parts of the app record to)
    _listener = listener


def is_heard() -> bool:
    """Whether there is a listener. Without one, values that cost requests are not computed."""
    return _listener is not None


def record(metric: Metric, value: float = 1, attributes: Mapping[str, str] | None = None) -> None:
    """Record a value of a metric."""
    if _listener is not None:
        _listener(metric, value, attributes or {})


def record_lag(oldest: datetime, now: datetime) -> float:
    """Record the age of the oldest event of a batch, in seconds. Clocks may differ, so it is at least 0."""
    lag = max(0.0, (now - oldest).total_seconds())
    record(LAG, lag)
    return lag
