"""scripts/route-iot-hub, with a stand-in for the Azure CLI that keeps what it was told in files."""

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IDENTITY = "/subscriptions/s/resourceGroups/rg-app/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-route"
OUTPUTS = {
    "AZURE_SUBSCRIPTION_ID": "s",
    "ROUTE_IOT_HUB": "fleet",
    "ROUTE_IOT_HUB_GROUP": "rg-fleet",
    "ROUTE_IDENTITY": IDENTITY,
    "ROUTE_ENDPOINT_URI": "sb://evhns.servicebus.windows.net",
    "ROUTE_EVENT_HUB_GROUP": "rg-app",
    "ROUTE_EVENT_HUB": "twin-changes",
}
# Answers as the CLI does with --output tsv; what is asked for by name is asked for as --query "[?name=='...'].…".
AZ = r"""#!/bin/sh
set -eu
printf '%s\n' "$*" >>"$STATE/calls"
case "$*" in
*"identity show"*) cat "$STATE/identities" 2>/dev/null || true ;;
*"identity assign"*) printf '%s\n' "$ROUTE_IDENTITY" | tr a-z A-Z >>"$STATE/identities" ;;
*"message-endpoint list"*) cat "$STATE/endpoint" 2>/dev/null || true ;;
*"message-endpoint create"*) printf '%s\t%s\n' "$ROUTE_ENDPOINT_URI" "$ROUTE_EVENT_HUB" >"$STATE/endpoint" ;;
*"message-route list"*) for route in $(cat "$STATE/routes" 2>/dev/null); do
        case "$*" in *"'$route'"*) echo "$route" ;; esac
    done ;;
*"message-route create"*) printf '%s\n' "$*" | sed 's/.*--route-name \([^ ]*\).*/\1/' >>"$STATE/routes" ;;
esac
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "az").write_text(AZ)
    (tmp_path / "az").chmod(0o755)
    return tmp_path


@pytest.fixture
def run(state: Path) -> Callable[..., tuple[int, Sequence[str], str]]:
    """Runs the script; gives its exit code, what it asked of az to change, and what it said of errors."""

    def run(**outputs: str) -> tuple[int, Sequence[str], str]:
        calls = state / "calls"
        calls.write_text("")
        environment = {**os.environ, **OUTPUTS, **outputs, "STATE": str(state), "PATH": f"{state}:{os.environ['PATH']}"}
        command = ["sh", "scripts/route-iot-hub"]
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 (a fixed command)
        changes = [line for line in calls.read_text().splitlines() if re.search(r" (assign|create|update) ", line)]
        return result.returncode, changes, result.stderr

    return run


def parsed(command: str) -> tuple[str, set[str]]:
    """A command, and its flags with their values, in whatever order."""
    name, *flags = command.split(" --")
    return name, set(flags)


def test_a_hub_gets_the_identity_the_endpoint_and_both_routes(run: Callable[..., tuple[int, list[str], str]]) -> None:
    code, changes, error = run()
    assert (code, error) == (0, "")
    of_the_hub = "--subscription s --resource-group rg-fleet --output tsv"
    endpoint = (
        f"{of_the_hub} --hub-name fleet --endpoint-name edge-deployment-status --identity {IDENTITY}"
        " --endpoint-resource-group rg-app --endpoint-uri sb://evhns.servicebus.windows.net --entity-path twin-changes"
    )
    route = f"{of_the_hub} --hub-name fleet --endpoint-name edge-deployment-status --enabled true --route-name"
    twins = "edge-deployment-status-twins --source-type TwinChangeEvents --condition moduleId = '$edgeAgent'"
    lifecycle = "edge-deployment-status-lifecycle --source-type DeviceLifecycleEvents --condition true"
    expected = [
        f"iot hub identity assign {of_the_hub} --name fleet --user-assigned {IDENTITY}",
        f"iot hub message-endpoint create eventhub {endpoint}",
        f"iot hub message-route create {route} {twins}",
        f"iot hub message-route create {route} {lifecycle}",
    ]
    assert [parsed(change) for change in changes] == [parsed(change) for change in expected]


def test_a_second_run_only_sets_the_routes_anew(run: Callable[..., tuple[int, list[str], str]]) -> None:
    run()
    code, changes, _ = run()
    assert code == 0
    assert [change.split(" --")[0] for change in changes] == ["iot hub message-route update"] * 2


def test_an_endpoint_that_leads_elsewhere_is_left_alone(
    run: Callable[..., tuple[int, list[str], str]], state: Path
) -> None:
    (state / "endpoint").write_text("sb://other.servicebus.windows.net\ttwin-changes\n")
    code, changes, error = run()
    assert code == 1
    assert "leads to another event hub: sb://other" in error
    assert [change.split(" --")[0] for change in changes] == ["iot hub identity assign"]


def test_a_hub_that_was_made_by_bicep_is_not_touched(run: Callable[..., tuple[int, list[str], str]]) -> None:
    assert run(ROUTE_IOT_HUB="") == (0, [], "")


def test_a_refusal_of_azure_ends_the_script(run: Callable[..., tuple[int, list[str], str]], state: Path) -> None:
    (state / "az").write_text('#!/bin/sh\n[ "$1" = extension ] || { echo "Forbidden" >&2; exit 3; }\n')
    code, _, error = run()
    assert code == 3
    assert error == "Forbidden\n"
