"""The pages on running the app name commands, settings, alerts and roles that exist, and leave none out."""

import dataclasses
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped] # its types are a package of their own, for this one call

from benchmarks import cost
from checks.infra.alerts import log_alerts
from checks.infra.syntax import literal, property_at, read_folder, text
from checks.settings import settings_of_the_code
from status_app.ingest.notifications import OtherEvent
from status_app.reconcile.comparison import AS_KNOWN
from status_app.reconcile.flag_stuck import STILL_UNVERIFIED
from status_app.reconcile.tasks import Outcome

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WORKFLOW = (ROOT / "docs/examples/deploy.yml").read_text()
FILES = {file.path.name: file for file in read_folder(ROOT / "infra").values()}
PARAMETERS = json.loads((ROOT / "infra/main.parameters.json").read_text())["parameters"]

OF_AZ = {"--output", "--query", "--subscription"}
COMMANDS: dict[str, set[str]] = {
    # az 2.91.0: what `--help` of each lists, read in November 2026.
    "az account show": OF_AZ,
    "az ad app create": {"--display-name", "--sign-in-audience", "--enable-id-token-issuance", "--web-redirect-uris"},
    "az deployment sub create": OF_AZ
    | {"--name", "--location", "--template-file", "--parameters", "--confirm-with-what-if"},
    "az deployment sub show": OF_AZ | {"--name"},
    "az functionapp config appsettings set": {"--resource-group", "--name", "--settings"},
    "az functionapp deployment source config-zip": {"--resource-group", "--name", "--src", "--build-remote"},
    "az functionapp function list": OF_AZ | {"--resource-group", "--name"},
    "az functionapp keys set": {"--resource-group", "--name", "--key-type", "--key-name"},
    "az functionapp keys list": OF_AZ | {"--resource-group", "--name"},
    "az functionapp list-flexconsumption-locations": OF_AZ,
    "az functionapp restart": {"--resource-group", "--name"},
    "az group create": {"--name", "--location"},
    "az group delete": {"--name", "--yes"},
    "az identity create": {"--resource-group", "--name"},
    "az identity federated-credential create": {
        *("--resource-group", "--identity-name", "--name", "--issuer", "--subject", "--audiences")
    },
    "az iot hub identity remove": {"--name", "--user-assigned"},
    "az login": {"--tenant"},
    "az role assignment create": {
        *("--role", "--scope", "--assignee", "--assignee-object-id", "--assignee-principal-type")
    },
    "az role assignment delete": {"--ids"},
    "az role assignment list": OF_AZ | {"--scope"},
    "az storage account show": OF_AZ | {"--name"},
    "az storage entity delete": {"--account-name", "--table-name", "--auth-mode", "--partition-key", "--row-key"},
    "az storage entity query": OF_AZ | {"--account-name", "--table-name", "--auth-mode", "--filter", "--select"},
    # The extension azure-iot, which could not be installed: its help texts (Azure/azure-iot-cli-extension) and
    # Microsoft's page on routes by the CLI, for routes; those of the endpoint are in scripts/hooks/route_iot_hub.py.
    "az iot hub message-endpoint delete": {"--hub-name", "--endpoint-name", "--force"},
    "az iot hub message-route delete": {"--hub-name", "--route-name"},
    "az iot hub query": {"--hub-name", "--query-command"},
    "az iot hub message-route test": {"--hub-name", "--source-type", "--ap"},
    "az iot hub module-twin show": {"--hub-name", "--device-id", "--module-id"},
    # Microsoft's reference of the CLI. Those of `auth` come with the extension authV2.
    "az webapp auth microsoft update": {"--resource-group", "--name", "--client-id", "--issuer", "--yes"},
    "az webapp auth update": {
        *("--resource-group", "--name", "--enabled", "--action", "--redirect-provider", "--excluded-paths")
    },
    "az eventgrid event-subscription create": {
        *("--name", "--source-resource-id", "--event-delivery-schema", "--endpoint-type", "--endpoint"),
        *("--included-event-types", "--advanced-filter", "--enable-advanced-filtering-on-arrays"),
    },
    # Excerpts of the reference of the Azure Developer CLI (MicrosoftDocs/azure-dev-docs), and public workflows.
    "azd auth login": {"--client-id", "--tenant-id", "--federated-credential-provider"},
    "azd deploy": {"--no-prompt"},
    "azd down": {"--force", "--purge"},
    "azd env get-values": set(),
    "azd env new": set(),
    "azd env set": set(),
    "azd monitor": {"--logs", "--live", "--overview"},
    "azd provision": {"--preview", "--no-prompt"},
    "az bicep build": {"--file", "--stdout"},
    "azd up": {"--no-prompt"},
    # No flag of Core Tools is used; that of the GitHub CLI is in public set-up instructions.
    "func start": set(),
    "gh variable set": {"--body"},
}
TOOLS = {name.split()[0] for name in COMMANDS}
OF_OTHERS = {
    *("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID"),  # azd and the workflow
    *("APPLICATIONINSIGHTS_CONNECTION_STRING", "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"),  # the exporter
    *("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "_SDKSTATS_DISABLED", "_CONTROLPLANE_DISABLED"),  # the same
    *("ACCEPT_EULA", "STORAGE_ID"),  # the emulator; a placeholder
    "NAME",  # a placeholder
    *("DEPLOYMENT_STATUS_URL", "DEPLOYMENT_STATUS_KEY", "HTTPS_PROXY", "NO_PROXY"),  # of the commands, and of aiohttp
}
NOT_PROVIDED = {"virtualNetworkSubnetId", "publicNetworkAccess"}


def lines(page: Path) -> Iterator[str]:
    """The indented commands of a page, and those within its sentences."""
    content = page.read_text().replace("\\\n", " ")
    yield from (line.strip() for line in re.findall(r"^ {4,}(.+)$", content, re.MULTILINE))
    yield from re.findall(rf"`((?:{'|'.join(TOOLS)}) [^`]+)`", content)


def calls(line: str) -> Iterator[list[str]]:
    """The words of each call of a tool in a line of shell; a pipe, a redirection and a substitution end one."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    call: list[str] = []
    try:
        for word in (*words, "|"):
            if set(word) <= set("|&;()<>"):
                if call and call[0] in TOOLS:
                    yield call
                call = []
            else:
                call.append(word)
    except ValueError:  # a quotation of several lines, which is no call of a tool
        return


def all_calls() -> Iterator[list[str]]:
    for line in (line for page in PAGES for line in lines(page)):
        yield from calls(line)
    for command in re.findall(r"run: (.+)$", WORKFLOW, re.MULTILINE):
        yield from calls(command)


def named(pattern: str) -> set[str]:
    """What the pages name in backticks."""
    return {name for page in PAGES for name in re.findall(f"`{pattern}`", page.read_text())}


def test_every_command_exists_and_has_flags_that_exist() -> None:
    used = set()
    for words in all_calls():
        name = next((name for name in COMMANDS if words[: len(name.split())] == name.split()), None)
        assert name is not None, words
        used.add(name)
        assert {word for word in words if word.startswith("--")} <= COMMANDS[name], words
    assert {"az deployment sub create", "azd up", "func start", "gh variable set", "azd auth login"} <= used
    assert set(COMMANDS) == used


def test_every_alert_is_on_the_page_and_every_alert_of_the_page_exists() -> None:
    resources = FILES["alerts.bicep"].resources.values()
    names = {text(name) for alert in resources if (name := property_at(alert.value, "name")) is not None}
    alerts = {name.strip("'").removesuffix("-${token}") for name in names if "alert-" in name and "rule." not in name}
    files = read_folder(ROOT / "infra")
    alerts |= {f"alert-{rule.name}" for rule in log_alerts(files[(ROOT / "infra/main.bicep").resolve()], files)}
    page = (ROOT / "docs/operating.md").read_text()
    assert set(re.findall(r"^\| `(alert-[\w-]+)`", page, re.MULTILINE)) == alerts


def test_every_name_under_which_an_event_is_dropped_is_on_the_page() -> None:
    page = (ROOT / "docs/operating.md").read_text()
    (names,) = re.findall(r"counted by their names: ([^.]+)\.", page)
    assert set(re.findall("`([^`]+)`", names)) == set(OtherEvent)


def test_every_outcome_is_on_the_page() -> None:
    page = (ROOT / "docs/operating.md").read_text()
    (names,) = re.findall(r"^Outcomes are (.+?`)\.", page, re.MULTILINE | re.DOTALL)
    of_a_run = {AS_KNOWN, STILL_UNVERIFIED, "left", "failed", "dead-lettered"}
    assert set(re.findall("`([^`]+)`", names)) == {*Outcome, *of_a_run}


def test_the_roles_of_the_page_are_those_that_bicep_gives() -> None:
    given = []
    for file in FILES.values():
        for resource in file.resources.values():
            if "roleAssignments@" in resource.target:
                principal = text(property_at(resource.value, "properties", "principalId") or resource.node)
                role = text(property_at(resource.value, "properties", "roleDefinitionId") or resource.node)
                if principal == "readerPrincipalId":
                    continue  # the deployer: the page has it in a sentence
                given.append((principal.removesuffix("PrincipalId"), role.rpartition(" ")[2].strip(")").lower()))
    page = (ROOT / "docs/security.md").read_text()
    rows = re.findall(r"^\| `id-(\w+)` \| ([^|]+) \|", page, re.MULTILINE)
    assert sorted((identity, role.replace(" ", "").lower()) for identity, role in rows) == sorted(given)


def test_the_azd_environment_of_the_page_is_that_of_the_parameters() -> None:
    page = (ROOT / "docs/deploying.md").read_text()
    expected = {re.findall(r"\w+", given["value"])[0]: name for name, given in PARAMETERS.items()}
    assert dict(re.findall(r"^\| `([A-Z_]+)` \| `(\w+)` \|", page, re.MULTILINE)) == expected
    assert "toJSON(vars)" in WORKFLOW  # each variable of the repository, whatever its name


def test_every_setting_that_is_named_exists() -> None:
    variables = {re.findall(r"\w+", given["value"])[0] for given in PARAMETERS.values()}
    known = settings_of_the_code(ROOT) | variables | set(FILES["main.bicep"].outputs) | OF_OTHERS
    assert named(r"([A-Z]+(?:_[A-Z]+)+)") - known == set()


def test_every_parameter_that_is_named_exists() -> None:
    source = "".join(path.read_text() for path in [*(ROOT / "infra").rglob("*.bicep"), ROOT / "host.json"])
    pages = "".join((ROOT / f"docs/{name}.md").read_text() for name in ("deploying", "operating", "tuning", "security"))
    names = set(re.findall(r"`([a-z]+(?:[A-Z][A-Za-z]*)+)`", pages)) - NOT_PROVIDED
    assert {name for name in names if name not in source} == set()


def test_every_make_target_and_every_module_that_is_named_is_there() -> None:
    pages = "".join(page.read_text() for page in PAGES)
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^ {4})make ([\w-]+)", pages, re.MULTILINE))
    assert {"demo", "test", "start"} <= named <= targets
    modules = set(re.findall(r"python -m ([\w.]+)", pages))
    assert {"benchmarks.cost", "local", "status_app", "status_core"} <= modules
    assert {module for module in modules if find_spec(module) is None} == set()


@pytest.mark.parametrize("command", [["status_app", "replay-dead-letters"], ["benchmarks.cost"]], ids=" ".join)
def test_the_options_of_our_own_commands_exist(command: list[str]) -> None:
    pages = "".join(page.read_text() for page in PAGES)
    used = {flag for line in re.findall(f"-m {' '.join(command)}(.*)", pages) for flag in re.findall(r"--[\w-]+", line)}
    result = subprocess.run(  # noqa: S603 (our own commands)
        [sys.executable, "-m", *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert used
    assert used <= set(re.findall(r"--[\w-]+", result.stdout))


def test_the_table_of_costs_is_what_the_script_prints(capsys: pytest.CaptureFixture[str]) -> None:
    cost.main([])
    assert f"\n{capsys.readouterr().out}\n" in (ROOT / "docs/tuning.md").read_text()


def test_the_options_of_the_cost_script_have_the_defaults_of_the_page() -> None:
    page = (ROOT / "docs/tuning.md").read_text()
    rows = dict(re.findall(r"^\| `--([\w-]+)` \| (\d+)", page, re.MULTILINE))
    fields = {field.name.replace("_", "-"): field.default for field in dataclasses.fields(cost.Load)}
    assert {name: float(default) for name, default in rows.items()} == {
        name: default for name, default in fields.items() if name != "devices"
    }


def test_the_fleet_of_a_reader_is_counted_with_the_readers_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    cost.main(["--devices", "2000", "--changes", "0.5", "--notifications", "4"])
    printed = capsys.readouterr().out
    assert "| devices | 2,000 |" in printed
    assert "| twin changes a day | 4,000 |" in printed


def test_the_outputs_of_a_deployment_become_what_the_route_script_takes(tmp_path: Path) -> None:
    page = (ROOT / "docs/deploying.md").read_text()
    (command,) = re.findall(r"^    (export \$\(python3.+?\n    .+\))$", page, re.MULTILINE)
    names = {name: {"value": f"value-of-{name.lower()}"} for name in FILES["main.bicep"].outputs}
    changed = {name[0].lower() + name[1:]: output for name, output in names.items()}
    (tmp_path / "outputs.json").write_text(json.dumps(changed))
    script = f"{command}\nenv".replace("\n    ", "\n")
    result = subprocess.run(["sh", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=True)  # noqa: S603, S607 (a command of our own page)
    assert {f"{name}=value-of-{name.lower()}" for name in names} <= set(result.stdout.splitlines())


def test_the_package_of_the_page_holds_what_is_deployed() -> None:
    page = (ROOT / "docs/deploying.md").read_text()
    (archived,) = re.findall(r"git archive .* HEAD (.+)$", page, re.MULTILINE)
    ignored = [line for name in (".funcignore", ".gitignore") for line in (ROOT / name).read_text().splitlines()]
    kept = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    kept = {name for name in kept if not any(fnmatch(name, pattern.strip("/")) for pattern in ignored)}
    assert set(archived.split()) == kept


def test_the_emulator_has_the_event_hubs_of_azure_and_azurite_is_that_of_the_tests() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    version = json.loads((ROOT / "package.json").read_text())["devDependencies"]["azurite"]
    assert compose["azurite"]["image"].rpartition(":")[2] == version
    (mounted,) = (volume.split(":")[0] for volume in compose["eventhubs"]["volumes"])
    (namespace,) = json.loads((ROOT / mounted).read_text())["UserConfig"]["NamespaceConfig"]
    assert namespace["Name"] == "emulatorNs1"  # the one name that its schema allows
    configured = {
        hub["Name"]: (hub["PartitionCount"], [group["Name"] for group in hub["ConsumerGroups"]])
        for hub in namespace["Entities"]
    }
    main, hubs = FILES["main.bicep"].parameters, FILES["event-hubs.bicep"].resources
    assert configured == {
        literal(property_at(hubs[hub].value, "name")): (
            literal(main[f"{hub}Partitions"].value),
            [literal(property_at(hubs[group].value, "name"))],
        )
        for hub, group in (("twinChanges", "appGroup"), ("transitions", "subscriberGroup"))
    }
