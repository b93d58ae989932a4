"""The setting NOTIFY: what it takes, and how it refuses anything else."""

import json
from pathlib import Path
from typing import Any

import pytest

from status_app.errors import SettingError
from status_app.events.severity import Severity
from status_app.notify.targets import (
    DEVICE_EVENTS,
    MILESTONES,
    Auth,
    Filter,
    Format,
    Target,
    is_refused,
    read_targets,
)

SCHEMAS = Path(__file__).parents[2] / "schemas"
SECRET = "https://example.com/hooks/hunter2?sig=correct-horse"
NAMED = {"OPS_URL": SECRET, "OPS_KEY": "hunter2-key", "TRANSITIONS_HUB": "transitions"}
SLACK = {"name": "ops", "format": "slack", "urlSetting": "OPS_URL"}
GRID: dict[str, Any] = {
    "name": "grid",
    "format": "cloudevents",
    "url": "https://t.westeurope-1.eventgrid.azure.net/api/events",
}


def read(*targets: Any, **environment: str) -> tuple[Target, ...]:
    return read_targets({**NAMED, "NOTIFY": json.dumps(targets), **environment})


def test_without_the_setting_there_is_no_target() -> None:
    assert read_targets({}) == read_targets({"NOTIFY": " "}) == read_targets({"NOTIFY": "[]"}) == ()


def test_a_target_is_read_whole() -> None:
    grid = GRID | {"auth": "header", "headerName": "aeg-sas-key", "valueSetting": "OPS_KEY", "severity": "warning"}
    grid |= {"types": ["edge.deployment.module.stuck"], "deployments": ["camera-*"], "cohorts": ["ring=canary"]}
    (found,) = read(grid)
    assert (found.name, found.format, found.url, found.auth) == ("grid", Format.CLOUDEVENTS, GRID["url"], Auth.HEADER)
    assert found.header == ("aeg-sas-key", "hunter2-key")
    assert found.filter == Filter(
        frozenset({"edge.deployment.module.stuck"}), Severity.WARNING, ("camera-*",), ("ring=canary",)
    )
    (identity,) = read(GRID | {"auth": "identity", "scope": "https://eventgrid.azure.net/.default"})
    assert (identity.auth, identity.scope) == (Auth.IDENTITY, "https://eventgrid.azure.net/.default")


def test_a_target_shows_no_secret() -> None:
    (slack,) = read(SLACK)
    assert slack.url == SECRET
    assert "hunter2" not in repr(slack)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (SECRET, "not JSON"),
        ('{"name": "ops"}', "not a list"),
        (f'["{SECRET}"]', "not a list"),
        (json.dumps([{}] * 11), "11 targets: expected at most 10"),
    ],
)
def test_a_value_that_is_no_list_of_targets_is_refused_and_not_quoted(value: str, message: str) -> None:
    with pytest.raises(SettingError, match=message) as raised:
        read_targets(NAMED | {"NOTIFY": value})
    assert "NOTIFY" in str(raised.value)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Ops team"}, "target 1: name takes"),
        ({"name": None}, "target 1: name takes"),
        ({"format": "mail"}, r"target 1 \(ops\): format takes cloudevents, teams, slack"),
        ({"format": ["slack"]}, "format takes"),
        ({"urlSetting": "NOT_THERE"}, "names NOT_THERE, but that setting is missing"),
        ({"urlSetting": 5}, "urlSetting takes the name of a setting"),
        ({"url": SECRET}, "'url' is unknown"),
        ({"urlSetting": "OPS_KEY"}, "OPS_KEY is not an address"),
        ({"auth": "identity"}, "'scope'|auth takes none with slack"),
        ({"types": ["edge.deployment.device.stuck"]}, "slack takes edge.deployment.started, .*edge.deployment.cause"),
        ({"types": "edge.deployment.cause"}, "types takes a list of texts"),
        ({"severity": "fatal"}, "severity takes info, warning, error"),
        ({"cohorts": [""]}, "cohorts takes a list of texts"),
        ({"token": "hunter2"}, "'token' is unknown"),
    ],
)
def test_a_wrong_target_is_refused_with_what_it_takes_and_its_address_is_not_quoted(change: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message) as raised:
        read(SLACK | change)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.com/hunter2", "not an https address"),
        ("ftp://example.com/hunter2", "not an https address"),
        ("hunter2", "not an address"),
        ("https://", "not an address"),
        ("https://[hunter2", "not an address"),
        ("https://example.com:port/hunter2", "not an address"),
        ("https://example.com/hunter2 x", "not an address"),
        ("https://user:hunter2@example.com/", "with a user"),
        ("@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/hunter2)", "Key Vault reference"),
    ],
)
def test_an_address_that_is_not_https_is_refused_and_not_quoted(url: str, message: str) -> None:
    with pytest.raises(SettingError, match=message) as raised:
        read(SLACK, OPS_URL=url)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"url": "https://example.com/a?code=hunter2"}, "url has a query"),
        ({"urlSetting": "OPS_URL"}, "either urlSetting or url"),
        ({"auth": "header", "valueSetting": "OPS_KEY"}, "headerName takes"),
        ({"auth": "header", "headerName": "a: b", "valueSetting": "OPS_KEY"}, "headerName takes"),
        ({"auth": "header", "headerName": "a", "valueSetting": "NOT_THERE"}, "names NOT_THERE"),
        ({"auth": "header", "headerName": "a", "valueSetting": "BROKEN"}, "BROKEN has a value that no header can have"),
        ({"auth": "identity"}, "scope takes"),
        ({"types": ["edge.deployment.cause"]}, "cloudevents takes"),
    ],
)
def test_a_wrong_target_of_a_program_is_refused_with_what_its_format_takes(change: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message) as raised:
        read(GRID | change, BROKEN="hunter2\r\nx: y")
    assert "hunter2" not in str(raised.value)


def test_two_targets_of_one_name_are_refused() -> None:
    with pytest.raises(SettingError, match="two targets named 'ops'"):
        read(SLACK, SLACK)


def test_a_target_without_the_event_hub_that_its_events_come_from_is_refused() -> None:
    with pytest.raises(SettingError, match="TRANSITIONS_HUB, the source of their news, is not set"):
        read(SLACK, TRANSITIONS_HUB="")


def test_a_filter_takes_the_types_of_all_schemas() -> None:
    schemas = {path.stem for path in SCHEMAS.glob("*.json")} - {"definitions"}
    assert {*DEVICE_EVENTS, *MILESTONES} == schemas


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "2002:7f00:1::"),  # noqa: S104 (refused)
        *("169.254.169.254", "fe80::1%eth0", "::ffff:169.254.169.254", "168.63.129.16", "224.0.0.1"),
    ],
)
def test_addresses_of_the_machine_and_of_its_link_are_refused(address: str) -> None:
    assert is_refused(address)


@pytest.mark.parametrize("address", ["10.1.2.3", "20.50.1.1", "2603:1020::1"])
def test_addresses_of_a_network_are_not_refused(address: str) -> None:
    assert not is_refused(address)


DEVICE_EVENT: Any = {
    "type": "edge.deployment.module.stuck",
    "severity": "error",
    "data": {"deviceId": "d", "deployments": ["base", "camera-2"], "cohorts": ["ring=canary"]},
}
MILESTONE: Any = {"type": "edge.deployment.stalled", "severity": "warning", "data": {"deployment": "camera-2"}}


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        (Filter(), "both"),
        (Filter(types=frozenset({"edge.deployment.stalled"})), "milestone"),
        (Filter(severity=Severity.WARNING), "both"),
        (Filter(severity=Severity.ERROR), "device"),
        (Filter(deployments=("camera-2",)), "both"),
        (Filter(deployments=("cam*",)), "both"),
        (Filter(deployments=("base",)), "device"),
        (Filter(deployments=("cam",)), "none"),
        (Filter(cohorts=("ring=canary", "x=y")), "both"),
        (Filter(cohorts=("x=y",)), "milestone"),
    ],
)
def test_a_filter_allows_what_fits_all_of_it(filters: Filter, passes: str) -> None:
    assert filters.allows(DEVICE_EVENT) is (passes in ("both", "device"))
    assert filters.allows(MILESTONE) is (passes in ("both", "milestone"))


def test_people_get_milestones_and_programs_every_event() -> None:
    people, program = Target("p", Format.TEAMS, "https://a"), Target("m", Format.CLOUDEVENTS, "https://a")
    assert [people.wants(event) for event in (DEVICE_EVENT, MILESTONE)] == [False, True]
    assert [program.wants(event) for event in (DEVICE_EVENT, MILESTONE)] == [True, True]
