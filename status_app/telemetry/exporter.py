"""Sends metrics to Azure Monitor from its own thread. A failure there costs only metrics."""

import atexit
import os
import threading
from typing import TYPE_CHECKING, Final

from status_app.telemetry import meters
from status_app.telemetry.logs import log
from status_app.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricExporter

INTERVAL: Final = 60.0
"""Seconds between two exports. A frozen instance exports when it resumes."""
CLOSING: Final = 5.0
"""Seconds for the last export: an instance that shuts down has few."""
TIMEOUT: Final = 10.0
"""Seconds that Azure Monitor may be silent."""

_SWITCHES: Final = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
)
"""Turn off the exporter's reports about itself, and its remote configuration by Microsoft."""

_log = log(__name__)


class Exporter:
    """Listens to the meters of this process, and exports the recorded values each minute, and at the end."""

    def __init__(self, exporter: "MetricExporter") -> None:
        self._provider = _provider(exporter)
        meter = self._provider.get_meter("status_app")
        take: dict[meters.Metric, Callable[[float, Mapping[str, str]], None]] = {}
        for metric in meters.METRICS:
            named = metric.name, metric.unit, metric.description
            is_counter = metric.kind == "counter"
            take[metric] = meter.create_counter(*named).add if is_counter else meter.create_histogram(*named).record
        meters.listen(lambda metric, value, attributes: take[metric](value, attributes))
        atexit.register(self.close)

    def close(self) -> None:
        """Export what is left, and wait a few seconds for it. A second call does nothing."""
        atexit.unregister(self.close)
        meters.listen(None)
        # A daemon thread: neither the loop nor the interpreter waits for a hanging one.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSING)


def azure_monitor() -> Exporter | None:
    """Create the exporter to the resource in `APPLICATIONINSIGHTS_CONNECTION_STRING`; None if it fails.

    With `APPLICATIONINSIGHTS_AUTHENTICATION_STRING` it uses tokens of the identity named there. Nothing is stored: what
    cannot be sent, after one retry, is lost.
    """
    for name in _SWITCHES:
        os.environ.setdefault(name, "true")
    try:
        from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter  # noqa: PLC0415 (0.4 s)

        return Exporter(
            AzureMonitorMetricExporter(
                disable_offline_storage=True, retry_total=1, timeout=TIMEOUT, read_timeout=TIMEOUT
            )
        )
    except Exception as error:  # noqa: BLE001 (logged; the app works without metrics; the text may quote a key)
        _log.error("no metrics are sent: %s", type(error).__name__)
        return None


def _provider(exporter: "MetricExporter") -> "MeterProvider":
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 (only if metrics are sent)
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415 (as above)
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource  # noqa: PLC0415 (as above)

    name = os.environ.get("WEBSITE_SITE_NAME", "edge-deployment-status")  # the app's name in the host's own lines
    reader = PeriodicExportingMetricReader(exporter, INTERVAL * 1000)
    return MeterProvider(
        [reader], Resource.create({SERVICE_NAME: name, SERVICE_VERSION: VERSION}), shutdown_on_exit=False
    )
