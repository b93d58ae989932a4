"""The metrics of the app, all of them. Until somebody listens, what is recorded goes nowhere and costs a call.

The values of each attribute are from a closed set of words, never a name of the fleet: a device, a module and a
deployment stand in log lines and rows. Every metric counts what happened in an interval. None is a level that a process
goes on telling after another process has taken over its work.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric.

    Attributes:
        kind: `counter`: values add up. `histogram`: their number, sum, least and greatest are kept.
        unit: In UCUM's notation.
        attributes: The names of its attributes.
    """

    name: str
    kind: Literal["counter", "histogram"]
    unit: str
    attributes: tuple[str, ...]
    description: str


type Listener = Callable[[Metric, float, Mapping[str, str]], None]
"""Takes a metric, a value and its attributes."""

TRANSITIONS: Final = Metric(
    "edge_deployment.transitions",
    "counter",
    "{transition}",
    ("kind", "from", "to", "reason"),
    "Changes of state of devices and modules",
)
STUCK: Final = Metric(
    "edge_deployment.stuck", "histogram", "{module}", ("of",), "Modules, or devices, that are stuck, once a minute"
)
LAG: Final = Metric("edge_deployment.lag", "histogram", "s", (), "Age of the oldest event of a batch as it is begun")
DEAD_LETTERS: Final = Metric(
    "edge_deployment.dead_letters", "counter", "{event}", ("reason",), "Events that were given up"
)
TWIN_READS: Final = Metric("edge_deployment.twin_reads", "counter", "{read}", ("outcome",), "Twins that were read")
TABLE_REQUESTS: Final = Metric(
    "edge_deployment.table_requests",
    "counter",
    "{request}",
    ("table", "op", "outcome"),
    "Answers of the table service, those to further attempts among them",
)

TIMER_SUCCESS: Final = Metric(
    "edge_deployment.timer.success", "counter", "{run}", ("timer",), "Runs of a timer that came to their end"
)
RESYNC_HEALED: Final = Metric(
    "edge_deployment.resync.healed", "counter", "{change}", (), "Changes that a resync found and no notification told"
)
ROLLOUTS_STALLED: Final = Metric(
    "edge_deployment.rollouts.stalled", "histogram", "{deployment}", (), "Deployments that are stalled, once a minute"
)
ROLLOUTS_OVER_THRESHOLD: Final = Metric(
    "edge_deployment.rollouts.over_threshold",
    "histogram",
    "{deployment}",
    (),
    "Deployments under way of which more devices fail than may, once a minute",
)

METRICS: Final = (
    *(TRANSITIONS, STUCK, LAG, DEAD_LETTERS, TWIN_READS, TABLE_REQUESTS),
    *(TIMER_SUCCESS, RESYNC_HEALED, ROLLOUTS_STALLED, ROLLOUTS_OVER_THRESHOLD),
)

_listener: Listener | None = None


def listen(listener: Listener | None) -> None:
    """Give every value of this process to a listener from now on; None: to nobody."""
    global _listener  # noqa: PLW0603 (the one place that all parts of the app record to)
    _listener = listener


def is_heard() -> bool:
    """Whether somebody listens: a value that costs requests is got for nobody else."""
    return _listener is not None


def record(metric: Metric, value: float = 1, attributes: Mapping[str, str] | None = None) -> None:
    """Record a value of a metric."""
    if _listener is not None:
        _listener(metric, value, attributes or {})


def record_lag(oldest: datetime, now: datetime) -> float:
    """Record the age of the oldest event of a batch, in seconds; two clocks may differ, and no age is less than 0."""
    lag = max(0.0, (now - oldest).total_seconds())
    record(LAG, lag)
    return lag
