"""What the infrastructure repeats, of itself or of the app, is the same in both places."""

import json
import re
from pathlib import Path

import yaml  # type: ignore[import-untyped] # its types are a package of their own, for this one call
from pathspec import GitIgnoreSpec

from checks.infra.app_settings import app_settings
from checks.infra.syntax import BicepFile, literal, properties, property_at, read_folder
from scripts.hooks import route_iot_hub

ROOT = Path(__file__).parents[2]
FILES = {file.path.name: file for file in read_folder(ROOT / "infra").values()}
AZD = yaml.safe_load((ROOT / "azure.yaml").read_text())
EXAMPLE = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]


def test_a_new_hub_has_the_routes_that_the_hook_adds_to_an_old_one() -> None:
    hub = FILES["iot-hub.bicep"]
    routes = property_at(hub.resources["hub"].value, "properties", "routing", "routes")
    assert routes is not None
    of_bicep = [{key: literal(value) for key, _, value in properties(route)} for route in routes.named_children]
    assert {route["name"]: (route["source"], route["condition"]) for route in of_bicep} == route_iot_hub.ROUTES
    assert literal(hub.variables["endpoint"].value) == route_iot_hub.NAME


def test_the_hooks_get_their_names_from_outputs() -> None:
    source = "".join(path.read_text() for path in (ROOT / "scripts/hooks").glob("*.py"))
    asked = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', source)) - {"AZURE_SUBSCRIPTION_ID"}  # azd's own
    assert len(asked) > 10
    assert asked <= set(FILES["main.bicep"].outputs)


def test_azd_finds_its_service_and_its_hook() -> None:
    app = FILES["function-app.bicep"].resources["app"].value
    ((service, described),) = AZD["services"].items()
    assert f"'azd-service-name': '{service}'" in tags(FILES["function-app.bicep"])
    assert (ROOT / described["project"] / "host.json").exists()
    version = literal(property_at(app, "properties", "functionAppConfig", "runtime", "version"))
    assert version == ".".join((ROOT / ".python-version").read_text().split(".")[:2]).strip()


def tags(file: BicepFile) -> str:
    """What the function app is tagged with."""
    node = property_at(file.resources["app"].value, "tags")
    assert node is not None
    return (node.text or b"").decode()


def test_bicep_makes_the_tables_of_the_app() -> None:
    made = re.findall(r"for table in \[(.+)\]", (ROOT / "infra/modules/storage.bicep").read_text())
    source = "".join(path.read_text() for path in (ROOT / "status_app").rglob("*.py"))
    tables = set(re.findall(r'^\w*TABLE: Final = "(\w+)"', source, re.MULTILINE))
    assert {name.strip("' ") for name in made[0].split(",")} == tables


def test_sampling_drops_no_request_no_exception_and_no_line() -> None:
    settings = json.loads((ROOT / "host.json").read_text())["logging"]["applicationInsights"]["samplingSettings"]
    assert {"Request", "Exception", "Trace"} <= set(settings["excludedTypes"].split(";"))


def test_a_hub_of_the_free_size_is_compared_once_a_day() -> None:
    schedule = FILES["main.bicep"].parameters["resyncSchedule"].value
    assert schedule is not None
    assert (schedule.text or b"").startswith(b"newIotHubSku == 'F1' ? '0 0 3 * * *'")


def test_the_defaults_of_the_parameters_are_those_of_the_app() -> None:
    known = {setting.name: setting.value for setting in app_settings(ROOT / "infra") if setting.value is not None}
    # In Azure the app has a consumer group of its own, since others may use the default one, and a place for telemetry.
    tuned = set(EXAMPLE) - {"CONSUMER_GROUP", "TELEMETRY"}
    assert {name: value for name, value in known.items() if name in tuned} == {
        name: value for name, value in EXAMPLE.items() if name in known and name in tuned
    }
    assert {"GRACE_DEFAULT", "HISTORY_LIMIT", "RESYNC_SCHEDULE", "TWIN_CHANGES_HUB"} <= set(known)
    assert known["CONSUMER_GROUP"] == "edge-deployment-status"


def test_what_names_a_resource_has_no_value_yet() -> None:
    unknown = {setting.name for setting in app_settings(ROOT / "infra") if setting.value is None}
    assert {"IOT_HUB", "STATUS_TABLES", "TwinChanges__fullyQualifiedNamespace", "AZURE_CLIENT_ID"} <= unknown


def test_what_is_deployed_is_the_app_and_nothing_beside_it() -> None:
    ignored = GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text().splitlines())
    files = [f"{path.name}/a.py" if path.is_dir() else path.name for path in ROOT.iterdir()]
    files += [".azure/a/.env", ".env", ".venv/a.py", "venv/a.py", "app.zip", "node_modules/a.js", "local.settings.json"]
    files += [".python_packages/lib/site-packages/a.py", "status_app/__pycache__/a.cpython-313.pyc"]
    kept = [path for path in files if not ignored.match_file(path)]
    deployed = {"function_app.py", "host.json", "requirements.txt", "status_app", "status_core", ".python_packages"}
    assert {path.split("/")[0] for path in kept} == deployed
    assert not [path for path in kept if path.endswith(".pyc")]
