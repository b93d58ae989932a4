"""Settings are read once, and the error of a wrong one has its name, its value and what it takes."""

from datetime import timedelta

import pytest

from status_app.errors import SettingError
from status_app.settings import Settings, check_trigger

GOOD = {"STATUS_TABLES": "https://a.table.core.windows.net", "IOT_HUB": "hub1.azure-devices.net"}


def test_what_is_not_set_has_its_default() -> None:
    settings = Settings.read(GOOD)
    assert settings.hub == "hub1"
    assert settings.policy.default == timedelta(minutes=15)
    assert settings.policy.stable_after == timedelta(seconds=60)
    assert settings.history_limit == 500
    assert settings.twin_reads_per_second == 80


def test_no_limit_of_twin_reads_is_a_limit_of_0() -> None:
    assert Settings.read(GOOD | {"TWIN_READS_PER_SECOND": "0"}).twin_reads_per_second == 0
    assert Settings.read(GOOD).twin_queries_per_minute == 16
    assert Settings.read(GOOD | {"TWIN_QUERIES_PER_MINUTE": "0"}).twin_queries_per_minute == 0


def test_the_hub_of_a_connection_string_is_its_host_name() -> None:
    assert Settings.read(GOOD | {"IOT_HUB": "HostName=h2:8443;SharedAccessKeyName=k;SharedAccessKey=s"}).hub == "h2"


def test_grace_periods_are_read() -> None:
    periods = Settings.read(GOOD | {"GRACE_PERIODS": '{"camera": "PT1H", "reason:backoff": "PT2H"}'}).policy.periods
    assert periods == {"camera": timedelta(hours=1), "reason:backoff": timedelta(hours=2)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STATUS_TABLES", ""),
        ("IOT_HUB", " "),
        ("GRACE_DEFAULT", "soon"),
        ("GRACE_PERIODS", "{"),
        ("GRACE_PERIODS", "[]"),
        ("GRACE_PERIODS", '{"m": 5}'),
        ("GRACE_PERIODS", '{"reason:pull_time_out": "PT1H"}'),
        ("GRACE_HOPELESS", "2 min"),
        ("INTENSIVE_CARE", "PT"),
        ("STABLE_AFTER", "P1Y"),
        ("HISTORY_LIMIT", "0"),
        ("HISTORY_LIMIT", "many"),
        ("TWIN_READS_PER_SECOND", "-1"),
        ("TWIN_READS_PER_SECOND", "2.5"),
        ("TWIN_QUERIES_PER_MINUTE", "-1"),
        ("TELEMETRY", "on"),
    ],
)
def test_a_wrong_value_names_the_setting_and_the_value(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name) as raised:
        Settings.read(GOOD | {name: value})
    assert value.strip() in str(raised.value)
    assert "expected" in str(raised.value)


def test_metrics_need_somewhere_to_go() -> None:
    settings = GOOD | {"TELEMETRY": "azure-monitor"}
    with pytest.raises(SettingError, match="APPLICATIONINSIGHTS_CONNECTION_STRING"):
        Settings.read(settings)
    assert Settings.read(settings | {"APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=k"}).sends_metrics
    assert not Settings.read(GOOD).sends_metrics


@pytest.mark.parametrize("name", ["TWIN_CHANGES_HUB", "CONSUMER_GROUP", "TwinChanges"])
def test_what_the_trigger_needs_is_checked_too(name: str) -> None:
    trigger = {"TWIN_CHANGES_HUB": "twin-changes", "CONSUMER_GROUP": "$Default", "TwinChanges": "Endpoint=sb://e/"}
    check_trigger(trigger)
    with pytest.raises(SettingError, match=f"{name}.* is( not)? set: expected"):
        check_trigger(trigger | {name: " "})


def test_the_trigger_takes_a_host_name_for_identity() -> None:
    name = "TwinChanges__fullyQualifiedNamespace"
    check_trigger({"TWIN_CHANGES_HUB": "twin-changes", "CONSUMER_GROUP": "$Default", name: "e.servicebus.windows.net"})


def test_a_connection_string_is_never_shown() -> None:
    with pytest.raises(SettingError) as raised:
        Settings.read(GOOD | {"IOT_HUB": "SharedAccessKey=hunter2"})
    assert "hunter2" not in str(raised.value)
