"""Only the app itself logs, with the root logger at INFO as in the real worker, and no more than the costs count."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from app_over_azurite import CASES, SECRET

from benchmarks import cost
from local.stack import Stack, running_stack
from status_app.telemetry.logs import LIBRARIES

TWIN = json.loads((CASES / "048_200_module_backoff.json").read_bytes())["twin"]
TWIN["properties"]["desired"]["modules"]["m1"]["env"] = {"PASSWORD": {"value": SECRET}}
DEVICES = 5


@pytest.fixture(autouse=True)
def as_the_worker_starts(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The root logger at INFO, and no library with a level of its own."""
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.NOTSET)
    caplog.set_level(logging.INFO)
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


def of_libraries(records: list[logging.LogRecord]) -> list[str]:
    return [record.getMessage() for record in records if record.name.partition(".")[0] in LIBRARIES]


async def work(stack: Stack, prefix: str) -> None:
    """Run a batch with changes, and both timers."""
    for number in range(DEVICES):
        stack.iot_hub.registry.put(TWIN | {"deviceId": f"{prefix}-{number}"})
    await stack.drained()
    for timer in ("flag_stuck", "resync"):
        assert (await stack.host.run_timer(timer)).ok


async def test_no_sdk_logs_a_line_and_no_line_holds_a_secret(
    tables: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime(2024, 5, 2, 9, 10, tzinfo=UTC)
    async with running_stack(tmp_path, tables, lambda: now) as stack:
        secrets = [SECRET, stack.iot_hub.connection_string.rpartition("SharedAccessKey=")[2]]
        await work(stack, "secret")
        now += timedelta(hours=1)
        await stack.host.run_timer("flag_stuck")
        own = [record.getMessage() for record in caplog.records if record.name.startswith("status_app")]
        assert len(own) > DEVICES
        assert of_libraries(caplog.records) == []
        logging.getLogger("azure").setLevel(logging.NOTSET)  # so it would be
        await stack.host.run_timer("flag_stuck")
        assert len(of_libraries(caplog.records)) >= 2 * (cost.IDLE_RUN - 16)  # no metrics are sent
    text = "\n".join(record.getMessage() + str(record.exc_info or "") for record in caplog.records)
    assert not [secret for secret in secrets if secret in text]


async def test_the_lines_of_the_app_are_no_longer_than_the_costs_count(
    tables: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_stack(tmp_path, tables, lambda: datetime(2024, 5, 3, 9, 10, tzinfo=UTC)) as stack:
        await work(stack, "a-device-of-a-usual-name")
        lines = [record.getMessage() for record in caplog.records if record.name.startswith("status_app")]
        executions = list(stack.host.invocations)
    of_runs = [line for line in lines if line.startswith(("batch of", "flag_stuck", "resync"))]
    of_transitions = [line for line in lines if " -> " in line]
    of_the_process = [line for line in lines if line.startswith("event hub 'twin-changes' has")]
    assert len(of_runs) == len(executions)
    assert len(of_the_process) == 1
    assert len(of_transitions) >= DEVICES
    assert sorted(of_the_process + of_runs + of_transitions) == sorted(lines), "no other line while all is well"
    assert max(len(line.encode()) for line in of_runs) <= cost.RUN_LINE
    assert max(len(line.encode()) for line in of_transitions) <= cost.TRANSITION_LINE
