"""Calls of the Azure CLI, and the outputs of a deployment."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class HookError(Exception):
    """Why a hook cannot do its work, in a sentence for who ran azd."""


def outputs(environment: Mapping[str, str], *names: str) -> tuple[str, ...]:
    """The outputs of the deployment that a hook needs.

    Raises:
        HookError: Some are missing or empty: the hook was not called by azd, or by a shell that lost them.
    """
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise HookError(
            f"called without {', '.join(missing)}: azd sets them after it has provisioned. By hand: docs/deploying.md"
        )
    return tuple(environment[name] for name in names)


def az(command: str, **options: str) -> Any:
    """The answer of the Azure CLI, from JSON; None where it says nothing.

    Args:
        command: The words of the command.
        options: Its options, `resource_group` for `--resource-group`; values are passed as they are.

    Raises:
        HookError: It is not installed, or the command failed: its own words say why.
    """
    program = shutil.which("az")  # on Windows a script, which only its full name starts
    if program is None:
        raise HookError("az is missing: install the Azure CLI (https://aka.ms/azcli), and sign in with az login")
    words = [program, *command.split()]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", value]
    words += ["--output", "json", "--only-show-errors"]
    result = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 (words, no shell)
    if result.returncode:
        raise HookError(f"az {command} failed: {result.stderr.strip()}")
    return json.loads(result.stdout) if result.stdout.strip() else None
