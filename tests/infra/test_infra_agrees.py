"""What the infrastructure says twice, or says of the app, is the same in both places."""

import json
import re
from pathlib import Path

import yaml  # type: ignore[import-untyped] # its types are a package of their own, for this one call

from checks.infra.app_settings import app_settings
from checks.infra.syntax import BicepFile, literal, properties, property_at, read_folder
from status_app.reconcile import twin_changes

ROOT = Path(__file__).parents[2]
FILES = {file.path.name: file for file in read_folder(ROOT / "infra").values()}
SCRIPT = (ROOT / "scripts/route-iot-hub").read_text()
AZD = yaml.safe_load((ROOT / "azure.yaml").read_text())
EXAMPLE = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]


def test_a_new_hub_has_the_routes_that_the_script_adds_to_an_old_one() -> None:
    hub = FILES["iot-hub.bicep"]
    routes = property_at(hub.resources["hub"].value, "properties", "routing", "routes")
    assert routes is not None
    name = literal(hub.variables["endpoint"].value)
    of_bicep = [{key: literal(value) for key, _, value in properties(route)} for route in routes.named_children]
    of_the_script = re.findall(r'^route "\$name-(\w+)" (\w+) "?([^"\n]+)"?$', SCRIPT, re.MULTILINE)
    assert [(route["name"], route["source"], route["condition"]) for route in of_bicep] == [
        (f"{name}-{suffix}", source, condition.replace("\\$", "$")) for suffix, source, condition in of_the_script
    ]
    assert f"\nname={name}\n" in SCRIPT


def test_the_script_gets_its_names_from_outputs() -> None:
    assert set(re.findall(r"\bROUTE_\w+", SCRIPT)) <= set(FILES["main.bicep"].outputs)


def test_azd_finds_its_service_and_its_hook() -> None:
    app = FILES["function-app.bicep"].resources["app"].value
    ((service, described),) = AZD["services"].items()
    assert f"'azd-service-name': '{service}'" in tags(FILES["function-app.bicep"])
    assert (ROOT / described["project"] / "host.json").exists()
    assert (ROOT / AZD["hooks"]["postprovision"]["run"]).stat().st_mode & 0o111
    version = literal(property_at(app, "properties", "functionAppConfig", "runtime", "version"))
    assert version == ".".join((ROOT / ".python-version").read_text().split(".")[:2]).strip()


def tags(file: BicepFile) -> str:
    """What the function app is tagged with."""
    node = property_at(file.resources["app"].value, "tags")
    assert node is not None
    return (node.text or b"").decode()


def test_the_alert_of_dead_letters_looks_for_what_the_app_logs() -> None:
    rule = FILES["alerts.bicep"].resources["deadLetters"].value
    criteria = property_at(rule, "properties", "criteria", "allOf")
    assert criteria is not None
    query = literal(property_at(criteria.named_children[0], "query")) or ""
    (searched,) = re.findall(r'"([^"]+)"', query)
    logged = re.findall(r'_log\.error\("([^"]+)"', Path(twin_changes.__file__).read_text())
    assert [text for text in logged if searched in text]


def test_the_defaults_of_the_parameters_are_those_of_the_app() -> None:
    known = {setting.name: setting.value for setting in app_settings(ROOT / "infra") if setting.value is not None}
    # In Azure the app has a consumer group of its own, since the default one is anybody's, and somewhere to tell.
    tuned = set(EXAMPLE) - {"CONSUMER_GROUP", "TELEMETRY"}
    assert {name: value for name, value in known.items() if name in tuned} == {
        name: value for name, value in EXAMPLE.items() if name in known and name in tuned
    }
    assert {"GRACE_DEFAULT", "HISTORY_LIMIT", "RESYNC_SCHEDULE", "TWIN_CHANGES_HUB"} <= set(known)
    assert known["CONSUMER_GROUP"] == "edge-deployment-status"


def test_what_names_a_resource_has_no_value_yet() -> None:
    unknown = {setting.name for setting in app_settings(ROOT / "infra") if setting.value is None}
    assert {"IOT_HUB", "STATUS_TABLES", "TwinChanges__fullyQualifiedNamespace", "AZURE_CLIENT_ID"} <= unknown
