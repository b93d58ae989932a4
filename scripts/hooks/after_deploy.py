"""Starts the first resync and says what comes next. azd runs it after each deployment of the code.

resync runs by its own schedule too. Started here, the tables have the fleet minutes after the deployment.
"""

from __future__ import annotations

import os
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from scripts.hooks.azure_cli import HookError, az, outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TRIES = 6
"""A host that was just given its code does not know the function for some seconds."""
WAIT = 10.0
TIMEOUT = 60.0
"""Seconds for one answer, which may be that of a cold start."""

SETTINGS = (
    "DEPLOYMENT_STATUS_URL",
    "STATUS_TABLES",
    "IOT_HUB",
    "TWIN_CHANGES_HUB",
    "CONSUMER_GROUP",
    "TRANSITIONS_HUB",
)
"""Outputs that are settings of the app's commands, by the same names."""
CONNECTIONS = ("TwinChanges__fullyQualifiedNamespace", "Transitions__fullyQualifiedNamespace")
"""Settings that are the host name of the event hubs."""


def start_resync(url: str, key: str, wait: Callable[[float], None]) -> None:
    """Ask the functions host to run resync once, now.

    Raises:
        HookError: It did not take the request, in any of a few tries.
    """
    request = urllib.request.Request(  # noqa: S310 (the address of the app, by its own deployment)
        f"{url}/admin/functions/resync",
        data=b"{}",
        headers={"x-functions-key": key, "Content-Type": "application/json"},
        method="POST",
    )
    said = ""
    for attempt in range(TRIES):
        if attempt:
            wait(WAIT)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310 (as above)
                return
        except urllib.error.HTTPError as error:
            said = f"the host answered {error.code}"
        except OSError as error:
            said = f"the host did not answer ({getattr(error, 'reason', error)})"
    raise HookError(said)


def commands(environment: Mapping[str, str], key: str, *, is_windows: bool) -> str:
    """What to run next, with the settings that it takes, in the words of the caller's shell.

    Args:
        environment: The outputs of the deployment.
        key: The command that prints the key of the API.
        is_windows: Whether the shell is PowerShell.
    """
    set_key = f"$env:DEPLOYMENT_STATUS_KEY = {key}" if is_windows else f'export DEPLOYMENT_STATUS_KEY="$({key})"'
    set_to = "$env:{} = '{}'" if is_windows else "export {}='{}'"
    settings = {name: environment[name] for name in SETTINGS}
    settings |= dict.fromkeys(CONNECTIONS, environment["EVENT_HUBS_HOST"])
    lines = "\n".join(f"    {set_to.format(name, value)}" for name, value in settings.items())
    return f"""next, in a checkout with Python 3.13 and pip install -r requirements.txt, signed in by az login:
{lines}
    {set_key}
    python -m status_app doctor                         checks each link from the IoT hub to the API
    python -m status_app wait --deployment DEPLOYMENT   waits until a rollout has come through
    python -m status_app explain DEVICE                 says why a device is what it is"""


def after_deploy(environment: Mapping[str, str], wait: Callable[[float], None] = time.sleep) -> str:
    """Start resync, and say where the app is. That resync could not be started is no error: it runs by itself.

    Raises:
        HookError: Variables are missing.
    """
    url, app, group, subscription, *_ = outputs(
        environment,
        *("DEPLOYMENT_STATUS_URL", "FUNCTION_APP", "AZURE_RESOURCE_GROUP", "AZURE_SUBSCRIPTION_ID", "EVENT_HUBS_HOST"),
        *SETTINGS,
    )
    key = f"az functionapp keys list --resource-group {group} --name {app} --query functionKeys.default --output tsv"
    try:
        found = az("functionapp keys list", resource_group=group, name=app, subscription=subscription)
        start_resync(url, found["masterKey"], wait)
        started = "resync has been started"
    except HookError as error:
        started = f"resync was not started: {error}. It starts by its schedule; by hand: docs/operating.md, Resync now"
    return f"""{started}
page      {url}/api/fleet#key=KEY
its KEY   {key}
{commands(environment, key, is_windows=os.name == "nt")}"""


def main() -> int:
    """Run the hook; 1 where it was called without its variables."""
    try:
        print(after_deploy(os.environ))
    except HookError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
