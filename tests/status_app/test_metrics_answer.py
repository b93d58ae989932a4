"""GET /metrics: prometheus-client reads it, its sums are those of the API, and its cost follows no fleet."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import azure.functions as func
import pytest
from app_over_azurite import App, fresh_app
from azure.core.exceptions import HttpResponseError
from prometheus_client.parser import text_string_to_metric_families

from status_app.errors import UnavailableError
from status_app.http import routes
from status_app.queries.exposition import CONTENT_TYPE, KEPT, Family
from status_app.storage.heartbeats import Source
from status_app.storage.transport import TableTransport

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
    for name, case in (("a", BACKOFF), ("b", BACKOFF), ("c", SUCCESSFUL)):
        device = app.put(name, case)
        app.report(device, timedelta(0))
        await app.handle(app.event(device))
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


async def test_the_app_says_what_it_is_and_when_it_ran(app: App) -> None:
    await stuck_fleet(app)
    found = await samples(app)
    ((labels, value),) = found["edge_deployment_build_info"]
    assert (labels["hub"], labels["fleet"], value) == ("hub1", 'north "1"', 1)
    assert found["edge_deployment_success_timestamp_seconds"] == [({"function": "flag_stuck"}, app.now.timestamp())]
    assert found["edge_deployment_dead_letters"] == [({}, 0)]


async def test_before_the_first_run_there_is_an_answer(tables: str) -> None:
    app = App(tables)
    try:
        assert "edge_deployment_build_info" in await samples(app)
    finally:
        await app.close()


async def test_an_answer_is_given_again_for_half_a_minute_and_its_cost_follows_no_fleet(
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
    for number in range(20):
        device = app.put(f"more{number}", BACKOFF)
        app.report(device, timedelta(0))
        await app.handle(app.event(device))
    app.now += KEPT
    requests = 0
    assert await app.services.exposition.text() != ""
    assert requests <= cost
    assert cost < 60


async def test_causes_that_differ_behind_the_end_of_a_label_are_one_sample(app: App) -> None:
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
async def test_a_deployment_that_cannot_be_read_costs_its_own_samples(app: App, columns: dict[str, Any]) -> None:
    await stuck_fleet(app)
    names = {labels["deployment"] for labels, _ in (await samples(app))["edge_deployment_devices"]}
    row = {"PartitionKey": "deployments", "RowKey": f"deployment|{min(names)}", **columns}
    await app.client.get_table_client("Deployments").update_entity(row)
    app.now += KEPT
    found = await samples(app)
    assert {labels["deployment"] for labels, _ in found.get("edge_deployment_devices", [])} == names - {min(names)}
    assert "edge_deployment_build_info" in found


async def test_what_failed_is_not_given_again(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_label_is_read_as_it_was(text: str) -> None:
    lines = "\n".join(Family("m", "gauge", "h", [({"l": text}, 1)]).lines()) + "\n"
    (family,) = text_string_to_metric_families(lines)
    assert family.samples[0].labels == {"l": text}


def test_a_label_is_short_whatever_a_device_says() -> None:
    (line,) = [line for line in Family("m", "gauge", "h", [({"l": "x" * 10_000}, 1)]).lines() if line[0] != "#"]
    assert len(line) < 300
