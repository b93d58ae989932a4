"""GET /metrics: prometheus-client reads it, its sums are those of the API, and a larger fleet costs no more."""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
import yaml  # type: ignore[import-untyped] # its types are a package of their own, for this one call
from app_over_azurite import App, fresh_app
from azure.core.exceptions import HttpResponseError
from prometheus_client.parser import text_string_to_metric_families

from status_app.errors import UnavailableError
from status_app.http import routes
from status_app.queries.exposition import CONTENT_TYPE, KEPT, Family
from status_app.storage.heartbeats import Source
from status_app.storage.transport import TableTransport

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/telemetry.md").read_text()
BACKOFF, SUCCESSFUL = "048", "003"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def app(tables: str) -> AsyncIterator[App]:
    async with fresh_app(tables, FLEET_NAME='north "1"') as app:
        yield app


async def samples(app: App) -> dict[str, list[tuple[dict[str, str], float]]]:
    """All samples by the names of their metrics."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(await app.services.exposition.text()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


async def stuck_fleet(app: App) -> None:
    devices = [app.put(name, case) for name, case in (("a", BACKOFF), ("b", BACKOFF), ("c", SUCCESSFUL))]
    for device in devices:
        app.report(device, timedelta(0))
    await app.handle(*map(app.event, devices))
    async with app.services.heartbeats.beating(Source.FLAG_STUCK):
        await app.flag_stuck(16 * MINUTE)


async def test_the_sums_are_those_of_the_api(app: App) -> None:
    await stuck_fleet(app)
    found = await samples(app)
    deployments = (await app.services.fleet().deployments(None, 200)).items
    counted = Counter[tuple[str, str]]()
    for labels, value in found["edge_deployment_devices"]:
        counted[labels["deployment"], labels["state"]] += int(value)
    assert counted == {
        (answer["deploymentId"], state): number for answer in deployments for state, number in answer["states"].items()
    }
    ratios = {labels["deployment"]: value for labels, value in found["edge_deployment_progress_ratio"]}
    assert ratios == {answer["deploymentId"]: answer["successful"] / answer["devices"] for answer in deployments}
    stuck = Counter[str]()
    for labels, value in found["edge_deployment_stuck"]:
        assert labels["cause"].startswith("backoff: m1")
        stuck[labels["deployment"]] += int(value)
    assert stuck == {answer["deploymentId"]: answer["stuck"] for answer in deployments if answer["stuck"]}


async def test_the_app_shows_its_build_and_when_it_last_succeeded(app: App) -> None:
    await stuck_fleet(app)
    found = await samples(app)
    ((labels, value),) = found["edge_deployment_build_info"]
    assert (labels["hub"], labels["fleet"], value) == ("hub1", 'north "1"', 1)
    assert found["edge_deployment_success_timestamp_seconds"] == [({"function": "flag_stuck"}, app.now.timestamp())]
    assert found["edge_deployment_dead_letters"] == [({}, 0)]


async def test_there_is_an_answer_before_the_first_run(tables: str) -> None:
    app = App(tables)
    try:
        assert "edge_deployment_build_info" in await samples(app)
    finally:
        await app.close()


async def test_an_answer_is_kept_for_half_a_minute_and_costs_no_more_in_a_larger_fleet(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = 0
    send = TableTransport.send

    async def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal requests
        requests += 1
        return await send(*arguments, **options)

    await stuck_fleet(app)
    monkeypatch.setattr(TableTransport, "send", counted)
    first = await app.services.exposition.text()
    cost, requests = requests, 0
    assert await app.services.exposition.text() == first
    assert requests == 0
    devices = [app.put(f"more{number}", BACKOFF) for number in range(20)]
    for device in devices:
        app.report(device, timedelta(0))
    await app.handle(*map(app.event, devices))
    await app.flag_stuck(KEPT)  # it counts them
    requests = 0
    assert await app.services.exposition.text() != first
    assert 0 < requests <= cost
    assert cost < 60


async def test_causes_that_differ_only_after_the_end_of_a_label_are_one_sample(app: App) -> None:
    for number in range(2):
        device = app.put(f"long{number}", BACKOFF)
        image = f"example.azurecr.io/{'x' * 200}:{number}"
        with app.edit(device, timedelta(0), "desired") as desired:
            desired["modules"]["m1"]["settings"]["image"] = image
        with app.edit(device, timedelta(0)) as reported:
            reported["lastDesiredVersion"] = desired["$version"]
            reported["modules"]["m1"]["settings"]["image"] = image
        await app.handle(app.event(device))
    await app.flag_stuck(16 * MINUTE)
    found = (await samples(app))["edge_deployment_stuck"]
    labels = [tuple(labels.items()) for labels, _ in found]
    assert len(labels) == len(set(labels))
    assert {value for _, value in found} == {2}


@pytest.mark.parametrize("columns", [{"States": "["}, {"States": "null"}, {"Devices": "many"}])
async def test_a_deployment_that_cannot_be_read_costs_only_its_own_samples(app: App, columns: dict[str, Any]) -> None:
    await stuck_fleet(app)
    names = {labels["deployment"] for labels, _ in (await samples(app))["edge_deployment_devices"]}
    row = {"PartitionKey": "deployments", "RowKey": f"deployment|{min(names)}", **columns}
    await app.client.get_table_client("Deployments").update_entity(row)
    app.now += KEPT
    found = await samples(app)
    assert {labels["deployment"] for labels, _ in found.get("edge_deployment_devices", [])} == names - {min(names)}
    assert "edge_deployment_build_info" in found


async def test_a_failure_is_not_kept(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:

        async def refused(*_: Any, **__: Any) -> Any:
            raise HttpResponseError

        patch.setattr(TableTransport, "send", refused)
        with pytest.raises((UnavailableError, HttpResponseError)):
            await app.services.exposition.text()
    assert "edge_deployment_build_info" in await app.services.exposition.text()


async def test_the_route_answers_in_the_text_format(app: App) -> None:
    request = func.HttpRequest("GET", "https://app/api/metrics", body=b"")
    response = await routes.metrics(app.services.exposition, request)
    assert (response.status_code, response.mimetype) == (HTTPStatus.OK, CONTENT_TYPE)
    wrong = func.HttpRequest("GET", "https://app/api/metrics", params={"a": "b"}, body=b"")
    assert (await routes.metrics(app.services.exposition, wrong)).status_code == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "ä€", "\\n", 'x="y",'])
def test_any_text_can_be_read_from_its_label(text: str) -> None:
    lines = "\n".join(Family("m", "gauge", "h", [({"l": text}, 1)]).lines()) + "\n"
    (family,) = text_string_to_metric_families(lines)
    assert family.samples[0].labels == {"l": text}


def test_a_label_is_short_whatever_a_device_reports() -> None:
    (line,) = [line for line in Family("m", "gauge", "h", [({"l": "x" * 10_000}, 1)]).lines() if line[0] != "#"]
    assert len(line) < 300


def test_the_scrape_of_the_page_asks_the_route_with_the_key_in_a_header() -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (job,) = yaml.safe_load(example)["scrape_configs"]
    assert (job["metrics_path"], job["scrape_interval"]) == ("/api/metrics", "60s")
    assert list(job["http_headers"]) == ["x-functions-key"]
    assert "params" not in job


def test_the_page_names_every_metric_of_the_answer_and_the_dashboard_no_other() -> None:
    source = (ROOT / "status_app/queries/exposition.py").read_text()
    names = set(re.findall(r'"(edge_deployment_\w+)"', source))
    part = PAGE.partition("## Prometheus")[2].partition("## Log lines")[0]
    assert set(re.findall(r"^\| `(edge_deployment_\w+)`", part, re.MULTILINE)) == names
    dashboard: Any = json.loads((ROOT / "dashboards/grafana.json").read_text())
    asked = {target["expr"] for panel in dashboard["panels"] for target in panel["targets"]}
    used = {name for expression in asked for name in re.findall(r"edge_deployment_\w+", expression)}
    assert used <= names
    assert len(used) > 8
