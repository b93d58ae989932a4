"""The metrics that the app records, over real tables; docs and workbook name each of them."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from app_over_azurite import DELETED, TABLES, App, fresh_app

from local.iothub import IotHub
from local.tables import table_proxy
from status_app.errors import UnavailableError
from status_app.iothub.twins import RETRY, TwinReader
from status_app.telemetry import meters
from status_app.telemetry.meters import (
    DEAD_LETTERS,
    LAG,
    METRICS,
    RESYNC_HEALED,
    ROLLOUTS_STALLED,
    STUCK,
    TABLE_REQUESTS,
    TRANSITIONS,
    TWIN_READS,
    Metric,
)

ROOT = Path(__file__).parents[2]


class Heard:
    """Everything that was recorded, in order."""

    def __init__(self) -> None:
        self.all: list[tuple[Metric, float, Mapping[str, str]]] = []

    def __call__(self, metric: Metric, value: float, attributes: Mapping[str, str]) -> None:
        assert set(attributes) == set(metric.attributes)
        self.all.append((metric, value, attributes))

    def of(self, metric: Metric) -> list[tuple[float, Mapping[str, str]]]:
        return [(value, attributes) for found, value, attributes in self.all if found is metric]


@pytest.fixture
def heard() -> Iterator[Heard]:
    heard = Heard()
    meters.listen(heard)
    yield heard
    meters.listen(None)


async def test_a_batch_records_its_lag_and_each_transition(tables: str, heard: Heard) -> None:
    async with fresh_app(tables) as app:
        device = app.put("d1", "048")
        event = app.event(device)
        app.now += timedelta(seconds=90)
        await app.handle(event, app.event(device))
        del app.hub.twins[device]
        await app.handle(app.event(device, b"{}", **DELETED))
    assert [value for value, _ in heard.of(LAG)] == [90, 0]
    assert [attributes for _, attributes in heard.of(TRANSITIONS)] == [
        {"kind": "device", "from": "absent", "to": "module_failed", "reason": "backoff"},
        {"kind": "deleted", "from": "module_failed", "to": "absent", "reason": "deleted"},
    ]


async def test_a_timer_records_what_is_stuck(tables: str, heard: Heard) -> None:
    async with fresh_app(tables) as app:
        await app.handle(*(app.event(app.put(name, "048")) for name in ("d1", "d2")))
        await app.flag_stuck()
        assert heard.of(STUCK) == [(0, {"of": "device"}), (0, {"of": "module"})]
        await app.flag_stuck(timedelta(hours=1))
    assert heard.of(STUCK)[2:] == [(0, {"of": "device"}), (2, {"of": "module"})]


async def test_a_resync_records_what_no_notification_announced(tables: str, heard: Heard) -> None:
    async with fresh_app(tables) as app:
        lost, late, gone = (app.put(name, "048") for name in ("lost", "late", "gone"))
        await app.resync()
        app.report(lost, timedelta(minutes=1), runtimeStatus="running")
        app.report(late, timedelta(minutes=15), runtimeStatus="running")
        del app.hub.twins[gone]
        await app.resync(timedelta(minutes=5))  # the notification of the second may still come
        await app.resync(timedelta(minutes=5))
    assert [value for value, _ in heard.of(RESYNC_HEALED)] == [0, 2, 0]


async def test_a_timer_records_how_many_deployments_are_stalled_now(tables: str, heard: Heard) -> None:
    async with fresh_app(tables) as app:
        applied = {"camera-2": {"status": "Applied"}}
        device = app.put("d1", "002", configurations=applied)
        await app.handle(app.event(device))
        for _ in range(3):
            await app.flag_stuck(timedelta(minutes=20))
        app.put("d1", "003", configurations=applied, version=8)
        await app.handle(app.event(device))
        await app.flag_stuck(timedelta(minutes=1))  # counts
        await app.flag_stuck(timedelta(minutes=1))
    assert [value for value, _ in heard.of(ROLLOUTS_STALLED)] == [0, 0, 1, 1, 0]


async def test_a_dead_letter_is_recorded_by_its_reason(tables: str, heard: Heard) -> None:
    app = App(tables)
    await app.handle(app.event("d1", b"no json"), app.event("d1", opType="eaten"))
    await app.close()
    assert sorted(attributes["reason"] for _, attributes in heard.of(DEAD_LETTERS)) == ["not_json", "unknown_operation"]


async def test_a_twin_read_is_recorded_by_its_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: Heard
) -> None:
    async def no_wait(_seconds: float) -> None: ...

    hub = IotHub(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.ca_file))
    await hub.start()
    hub.registry.create("edge-1")
    reader = TwinReader(hub.connection_string, sleep=no_wait)
    await reader.read("edge-1")
    await reader.read("nobody")
    for status in (429, 503):
        hub.faults.add("read", status, RETRY.attempts)
        with pytest.raises(UnavailableError):
            await reader.read("edge-1")
    reader.close()
    await hub.stop()
    outcomes = [attributes["outcome"] for _, attributes in heard.of(TWIN_READS)]
    assert outcomes == ["found", "absent", "throttled", "failed"]


async def test_each_answer_of_the_table_service_is_recorded(tables: str, heard: Heard) -> None:
    async with table_proxy(tables) as proxy, fresh_app(proxy.connection_string) as app:
        await app.handle(app.event(app.put("d1", "048")), app.event("d1", b"no json"))
        await app.flag_stuck(timedelta(hours=1))
        assert len(heard.of(TABLE_REQUESTS)) == sum(proxy.requests.values())
    found = {tuple(attributes.values()) for _, attributes in heard.of(TABLE_REQUESTS)}
    assert ("DeploymentStatus", "transaction", "ok") in found
    assert ("DeploymentIndex", "query", "ok") in found
    assert ("DeadLetter", "replace", "ok") in found
    assert {op for _, op, _ in found} <= {"get", "query", "insert", "replace", "merge", "delete", "transaction"}
    assert {table for table, _, _ in found} == {"Tables", "DeadLetter", *TABLES}


async def test_without_a_listener_nobody_counts_what_is_stuck(tables: str) -> None:
    async with table_proxy(tables) as proxy, fresh_app(proxy.connection_string) as app:
        await app.flag_stuck()
        before = sum(proxy.requests.values())
        await app.flag_stuck()
        unheard = sum(proxy.requests.values()) - before
        meters.listen(lambda *_: None)
        await app.flag_stuck()
        meters.listen(None)
        assert sum(proxy.requests.values()) - before == 2 * unheard + 2  # one more for each partition of the index


def test_the_page_lists_the_metrics_of_the_code() -> None:
    page = (ROOT / "docs/telemetry.md").read_text().partition("## Prometheus")[0]
    listed = re.findall(r"^\| `([\w.]+)` \| `([^`]+)` \|(.*?)\|", page, re.MULTILINE)
    assert {name: (unit, tuple(re.findall(r"`(\w+)`", attributes))) for name, unit, attributes in listed} == {
        metric.name: (metric.unit, metric.attributes) for metric in METRICS
    }


def test_the_workbook_shows_every_metric() -> None:
    workbook = json.loads((ROOT / "infra/modules/workbook.json").read_text())
    queries = [item["content"]["query"] for item in workbook["items"] if "query" in item["content"]]
    shown = {name for query in queries for name in re.findall(r'Name == "([^"]+)"', query)}
    assert {metric.name for metric in METRICS} <= shown  # checks/infra/kql.py finds a name that does not exist
