"""The hooks of `azure.yaml`, run as azd runs them, with stand-ins for the Azure CLI and for the functions host."""

import ast
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml  # type: ignore[import-untyped] # its types are a package of their own, for this one call

from scripts.hooks import after_deploy
from scripts.hooks.azure_cli import HookError

ROOT = Path(__file__).parents[2]
HOOKS = yaml.safe_load((ROOT / "azure.yaml").read_text())["hooks"]
IDENTITY = "/subscriptions/s/resourceGroups/rg-app/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-route"
OUTPUTS = {
    "AZURE_SUBSCRIPTION_ID": "s",
    "AZURE_RESOURCE_GROUP": "rg-app",
    "FUNCTION_APP": "func-1",
    "DEPLOYMENT_STATUS_URL": "https://func-1.example.net",
    "STATUS_TABLES": "https://st1.table.core.windows.net/",
    "EVENT_HUBS_HOST": "evhns.servicebus.windows.net",
    "TWIN_CHANGES_HUB": "twin-changes",
    "CONSUMER_GROUP": "edge-deployment-status",
    "TRANSITIONS_HUB": "transitions",
    "IOT_HUB": "fleet.azure-devices.net",
    "IOT_HUB_IS_NEW": "false",
    "ROUTE_IOT_HUB": "fleet",
    "ROUTE_IOT_HUB_GROUP": "rg-fleet",
    "ROUTE_IDENTITY": IDENTITY,
    "ROUTE_ENDPOINT_URI": "sb://evhns.servicebus.windows.net",
}
"""What azd sets for its hooks: outputs of `infra/main.bicep`, and the subscription."""

NAME = "edge-deployment-status"
type Shell = Literal["posix", "windows"]
SHELLS = [
    "posix",
    pytest.param("windows", marks=pytest.mark.skipif(shutil.which("pwsh") is None, reason="there is no PowerShell")),
]


@dataclass(frozen=True, slots=True)
class Ran:
    """A hook that ran: its exit code, its output, its errors, and its calls of az, each with its options."""

    code: int
    output: str
    errors: str
    calls: Sequence[tuple[str, Mapping[str, str]]]

    @property
    def changes(self) -> Sequence[tuple[str, Mapping[str, str]]]:
        return [call for call in self.calls if call[0].split()[-1] not in {"list", "show"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is most of the PATH, and the state of the hub, which has nothing of the app."""
    (tmp_path / "bin").mkdir()
    stand_in = Path(__file__).with_name("stand_in_az.py")
    (tmp_path / "bin/az").write_text(f'#!/bin/sh\nexec {sys.executable} {stand_in} "$@"\n')
    (tmp_path / "bin/az").chmod(0o755)
    (tmp_path / "bin/python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "bin/python3").chmod(0o755)
    write_hub(tmp_path, {"extensions": [], "identity": None, "endpoints": [], "routes": [], "refuses": {}})
    return tmp_path


def write_hub(folder: Path, hub: Mapping[str, Any]) -> None:
    (folder / "hub.json").write_text(json.dumps(hub))


def read_hub(folder: Path) -> dict[str, Any]:
    hub: dict[str, Any] = json.loads((folder / "hub.json").read_text())
    return hub


def run(name: str, folder: Path, shell: Shell = "posix", **outputs: str) -> Ran:
    """Run a hook of azure.yaml: its script in a file, from the folder of the project. An empty output is left out."""
    program, suffix = {"posix": ("sh", "sh"), "windows": ("pwsh", "ps1")}[shell]
    script = folder / f"hook.{suffix}"
    # What azd puts behind a script of PowerShell.
    script.write_text(HOOKS[name][shell]["run"] + "\nexit $LASTEXITCODE\n" * (shell == "windows"))
    (folder / "calls").write_text("")
    variables = {name: value for name, value in {**OUTPUTS, **outputs}.items() if value}
    result = subprocess.run(  # noqa: S603 (a script of our own)
        [shutil.which(program) or program, str(script)],
        cwd=ROOT,
        env={**variables, "STATE": str(folder), "PATH": f"{folder}/bin:/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    calls = [tuple(json.loads(line)) for line in (folder / "calls").read_text().splitlines()]
    return Ran(result.returncode, result.stdout, result.stderr, calls)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_hub_gets_the_identity_the_endpoint_and_both_routes_once(folder: Path, shell: Shell) -> None:
    ran = run("postprovision", folder, shell)
    assert (ran.code, ran.errors) == (0, "")
    common = {"subscription": "s", "output": "json", "resource-group": "rg-fleet"}
    of_the_hub = {**common, "hub-name": "fleet", "endpoint-name": NAME}
    endpoint = {"identity": IDENTITY, "endpoint-resource-group": "rg-app", "entity-path": "twin-changes"}
    twins = {"source-type": "TwinChangeEvents", "condition": "moduleId = '$edgeAgent'", "enabled": "true"}
    lifecycle = {"source-type": "DeviceLifecycleEvents", "condition": "true", "enabled": "true"}
    expected = [
        ("extension add", {"name": "azure-iot", "output": "json"}),
        ("iot hub identity assign", {**common, "name": "fleet", "user-assigned": IDENTITY}),
        (
            "iot hub message-endpoint create eventhub",
            {**of_the_hub, **endpoint, "endpoint-uri": "sb://evhns.servicebus.windows.net"},
        ),
        ("iot hub message-route create", {**of_the_hub, **twins, "route-name": f"{NAME}-twins"}),
        ("iot hub message-route create", {**of_the_hub, **lifecycle, "route-name": f"{NAME}-lifecycle"}),
    ]
    assert list(ran.changes) == expected
    assert "added or corrected: the identity, the endpoint, the route" in ran.output
    again = run("postprovision", folder, shell)
    assert (again.code, again.changes) == (0, [])
    assert "fleet has its route to sb://evhns.servicebus.windows.net/twin-changes: nothing was" in again.output


def test_a_route_that_somebody_changed_is_corrected_and_nothing_else(folder: Path) -> None:
    run("postprovision", folder)
    hub = read_hub(folder)
    ours, lifecycle = hub["routes"]
    other = {**ours, "name": "of-somebody-else"}
    for wrong in ({"condition": "true"}, {"isEnabled": False}, {"endpointNames": ["events"]}, {"source": "Other"}):
        write_hub(folder, {**hub, "routes": [{**ours, **wrong}, lifecycle, other]})
        ran = run("postprovision", folder)
        corrected = [(command, options["route-name"]) for command, options in ran.changes]
        assert corrected == [("iot hub message-route update", f"{NAME}-twins")], wrong
        assert read_hub(folder)["routes"] == [ours, lifecycle, other], wrong


def test_identities_of_others_stay(folder: Path) -> None:
    write_hub(folder, {**read_hub(folder), "identity": {"type": "UserAssigned", "userAssignedIdentities": {"/x": {}}}})
    assert run("postprovision", folder).code == 0
    assert read_hub(folder)["identity"]["userAssignedIdentities"].keys() == {"/x", IDENTITY.upper()}


def test_an_endpoint_that_leads_elsewhere_is_left_alone(folder: Path) -> None:
    elsewhere = {"name": NAME, "endpointUri": "sb://other.servicebus.windows.net/", "entityPath": "twin-changes"}
    write_hub(folder, {**read_hub(folder), "extensions": ["azure-iot"], "endpoints": [elsewhere]})
    ran = run("postprovision", folder)
    assert ran.code == 1
    assert "leads to another event hub, sb://other" in ran.errors
    assert [command for command, _ in ran.changes] == ["iot hub identity assign"]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_hub_that_was_made_here_is_not_touched(folder: Path, shell: Shell) -> None:
    ran = run("postprovision", folder, shell, IOT_HUB_IS_NEW="true")
    assert (ran.code, ran.output, ran.calls) == (0, "the IoT hub fleet was made here, with its route\n", [])


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_without_its_variables_fails_and_names_them(folder: Path, hook: str, shell: Shell) -> None:
    ran = run(hook, folder, shell, **dict.fromkeys(OUTPUTS, ""))
    assert (ran.code, ran.calls) == (1, [])
    assert re.search(r"called without .*AZURE_SUBSCRIPTION_ID", ran.errors)


def test_a_refusal_of_azure_ends_the_hook_and_is_quoted(folder: Path) -> None:
    write_hub(folder, {**read_hub(folder), "refuses": {"iot hub message-endpoint create eventhub": "(403) Forbidden"}})
    ran = run("postprovision", folder)
    assert ran.code == 1
    assert "az iot hub message-endpoint create eventhub failed: (403) Forbidden" in ran.errors
    assert "azd hooks run postprovision" in ran.errors


def test_a_missing_azure_cli_is_reported_with_where_to_get_it(folder: Path) -> None:
    (folder / "bin/az").unlink()
    ran = run("postprovision", folder)
    assert ran.code == 1
    assert "az is missing: install the Azure CLI" in ran.errors


def test_powershell_and_the_posix_shell_run_the_same() -> None:
    for hook in HOOKS.values():
        (posix,) = re.findall(r"^python3 (-m .+)$", hook["posix"]["run"], re.MULTILINE)
        (windows,) = re.findall(r"^& \$python (-m .+)$", hook["windows"]["run"], re.MULTILINE)
        assert posix == windows
        assert (hook["posix"]["shell"], hook["windows"]["shell"]) == ("sh", "pwsh")


def test_the_hooks_are_read_by_the_oldest_python_that_azd_may_find() -> None:
    for path in (ROOT / "scripts/hooks").glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))


@dataclass(slots=True)
class Host:
    """A functions host that takes a request after some refusals."""

    url: str
    answers: list[int]
    requests: list[tuple[str, str | None, bytes]]


@pytest.fixture
def host() -> Iterator[Host]:
    taken = Host("", [202], [])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.requests.append((self.path, self.headers["x-functions-key"], body))
            self.send_response(taken.answers.pop(0))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        taken.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield taken
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("shell", SHELLS)
def test_after_a_deployment_resync_is_started_once(folder: Path, host: Host, shell: Shell) -> None:
    ran = run("postdeploy", folder, shell, DEPLOYMENT_STATUS_URL=host.url)
    assert (ran.code, ran.errors) == (0, "")
    assert host.requests == [("/admin/functions/resync", "the-master-key", b"{}")]
    assert [command for command, _ in ran.calls] == ["functionapp keys list"]
    assert ran.output.startswith("resync has been started\n")


def test_after_a_deployment_the_address_of_the_app_and_the_next_steps_are_printed(folder: Path, host: Host) -> None:
    output = run("postdeploy", folder, DEPLOYMENT_STATUS_URL=host.url).output
    assert f"{host.url}/api/fleet#key=KEY" in output
    assert "az functionapp keys list --resource-group rg-app --name func-1 --query functionKeys.default" in output
    assert "export TwinChanges__fullyQualifiedNamespace='evhns.servicebus.windows.net'" in output
    assert 'export DEPLOYMENT_STATUS_KEY="$(az functionapp keys list --resource-group rg-app ' in output
    commands = re.findall(r"python -m status_app (\S+)", output)
    assert commands == ["doctor", "wait", "explain"]
    known = subprocess.run([sys.executable, "-m", "status_app", "--help"], capture_output=True, text=True, check=True)
    assert all(command in known.stdout for command in commands)
    assert "the-master-key" not in output
    assert "a-host-key" not in output


def test_in_powershell_the_settings_are_those_of_powershell() -> None:
    output = after_deploy.commands(OUTPUTS, "az functionapp keys list", is_windows=True)
    assert "$env:IOT_HUB = 'fleet.azure-devices.net'" in output
    assert "$env:DEPLOYMENT_STATUS_KEY = az functionapp keys list\n" in output


def test_a_host_that_is_not_ready_is_asked_again(host: Host) -> None:
    host.answers = [404, 503, 202]
    waits: list[float] = []
    after_deploy.start_resync(host.url, "key", waits.append)
    assert (len(host.requests), len(waits)) == (3, 2)


def test_a_host_that_refuses_is_asked_a_few_times_and_no_more(host: Host) -> None:
    host.answers = [401] * after_deploy.TRIES
    with pytest.raises(HookError, match="the host answered 401"):
        after_deploy.start_resync(host.url, "key", lambda _: None)
    assert len(host.requests) == after_deploy.TRIES


def test_a_host_that_is_not_there_is_named() -> None:
    with pytest.raises(HookError, match="the host did not answer"):
        after_deploy.start_resync("http://127.0.0.1:9", "key", lambda _: None)


def test_a_resync_that_cannot_be_started_does_not_fail_the_deployment(folder: Path) -> None:
    write_hub(folder, {**read_hub(folder), "refuses": {"functionapp keys list": "(403) Forbidden"}})
    ran = run("postdeploy", folder)
    assert ran.code == 0
    assert "resync was not started: az functionapp keys list failed: (403) Forbidden" in ran.output
    assert "/api/fleet" in ran.output
