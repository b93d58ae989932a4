"""The settings that Bicep gives the function app, against those that the app reads and Flex Consumption allows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tree_sitter import Node

from checks.infra.syntax import BicepFile, Finding, properties, property_at, read_folder, text, walk
from checks.infra.values import constant, frames
from status_app.errors import SettingError
from status_app.settings import Settings

OF_THE_PLATFORM: Final = frozenset(
    {
        "AzureWebJobsStorage",  # the functions host
        "APPLICATIONINSIGHTS_CONNECTION_STRING",  # the functions host and the exporters of telemetry
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",  # the same
        "AZURE_CLIENT_ID",  # azure-identity
    }
)
"""Settings that others than the app's own code read."""

_CONNECTION: Final = {"fullyQualifiedNamespace", "credential", "clientId"}
_STORAGE: Final = {"blobServiceUri", "queueServiceUri", "tableServiceUri", "credential", "clientId"}

FORBIDDEN_SETTINGS: Final = frozenset(
    """
    ENABLE_ORYX_BUILD FUNCTIONS_EXTENSION_VERSION FUNCTIONS_MAX_HTTP_CONCURRENCY
    FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED FUNCTIONS_WORKER_PROCESS_COUNT FUNCTIONS_WORKER_RUNTIME
    FUNCTIONS_WORKER_RUNTIME_VERSION SCM_DO_BUILD_DURING_DEPLOYMENT WEBSITE_CONTENTAZUREFILECONNECTIONSTRING
    WEBSITE_CONTENTOVERVNET WEBSITE_CONTENTSHARE WEBSITE_DNS_SERVER WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT
    WEBSITE_NODE_DEFAULT_VERSION WEBSITE_RUN_FROM_PACKAGE WEBSITE_SKIP_CONTENTSHARE_VALIDATION WEBSITE_TIME_ZONE
    WEBSITE_VNET_ROUTE_ALL
    """.split()  # noqa: SIM905 (a list of words)
)
"""Settings of older plans: on Flex Consumption they stop a deployment or do nothing."""

FORBIDDEN_PROPERTIES: Final = frozenset(
    """
    alwaysOn functionAppScaleLimit javaVersion linuxFxVersion netFrameworkVersion nodeVersion phpVersion
    powerShellVersion preWarmedInstanceCount pythonVersion use32BitWorkerProcess vnetRouteAllEnabled windowsFxVersion
    """.split()  # noqa: SIM905 (a list of words)
)
"""Properties of `siteConfig` that are for other plans: `functionAppConfig` is in their place."""


@dataclass(frozen=True, slots=True)
class AppSetting:
    """A setting of the function app.

    Attributes:
        name: Its name.
        value: Its value where the text has it, with the defaults of all parameters; None where it names a resource.
        expression: What Bicep sets it to.
        file: Where it is set.
        node: The place.
    """

    name: str
    value: str | None
    expression: str
    file: BicepFile
    node: Node


def app_settings(folder: Path) -> Sequence[AppSetting]:
    """The settings that `main.bicep` in a folder gives the function app."""
    files = read_folder(folder)
    return _settings(files[(folder / "main.bicep").resolve()], files)


def app_settings_findings(main: BicepFile, files: Mapping[Path, BicepFile], code: set[str]) -> Iterator[Finding]:
    """Settings that are missing, that nobody reads, that the app refuses, or that Flex Consumption does.

    Args:
        main: Where the deployment starts.
        files: All files.
        code: The settings that the code reads.
    """
    settings = _settings(main, files)
    names = {setting.name.partition("__")[0] for setting in settings}
    for name in sorted(code - names):
        place = settings[0] if settings else None
        yield Finding(
            place.file.shown if place else main.shown,
            place.node.start_point.row + 1 if place else 1,
            f"the code reads the setting {name}, and the function app is not given it",
        )
    for setting in settings:
        yield from _setting_findings(setting, code)
    yield from _refused(settings)
    for file in files.values():
        yield from _site_config_findings(file)


def _settings(main: BicepFile, files: Mapping[Path, BicepFile]) -> Sequence[AppSetting]:
    found: list[AppSetting] = []
    for frame in frames(main, files):
        for resource in frame.file.resources.values():
            name = constant(property_at(resource.value, "name"), frame, files)
            if resource.target.startswith("Microsoft.Web/sites/config@") and name == "appsettings":
                found += [
                    AppSetting(key or text(key_node), constant(value, frame, files), text(value), frame.file, key_node)
                    for key, key_node, value in properties(_written_out(property_at(resource.value, "properties")))
                ]
    return found


def _written_out(node: Node | None) -> Node | None:
    """The object, or the one in a union with what is known at a deployment alone."""
    if node is None or node.type == "object":
        return node
    return next((child for child in walk(node) if child.type == "object"), None)


def _setting_findings(setting: AppSetting, code: set[str]) -> Iterator[Finding]:
    name, _, part = setting.name.partition("__")
    if setting.name in FORBIDDEN_SETTINGS:
        yield setting.file.finding(setting.node, f"Flex Consumption forbids the setting {setting.name}")
    elif name not in code | OF_THE_PLATFORM:
        yield setting.file.finding(setting.node, f"nothing reads the setting {setting.name}")
    elif part and part not in (_STORAGE if name == "AzureWebJobsStorage" else _CONNECTION):
        yield setting.file.finding(setting.node, f"a connection with an identity has no part {part!r}")


def _refused(settings: Sequence[AppSetting]) -> Iterator[Finding]:
    """The first value that the app itself refuses at its start."""
    names = {setting.name: setting for setting in settings}
    for setting in settings:
        connection, _, part = setting.name.partition("__")
        if part == "fullyQualifiedNamespace" and not {f"{connection}__{other}" for other in _CONNECTION} <= set(names):
            yield setting.file.finding(setting.node, f"the connection {connection} needs {sorted(_CONNECTION)}")
    try:
        resource = "https://name-of-a-resource"
        Settings.read({name: resource if item.value is None else item.value for name, item in names.items()})
    except SettingError as error:
        word = re.search(r"\w+", str(error))
        refused = names.get(word[0]) if word else None
        if refused is not None:  # another check reports one that is missing
            yield refused.file.finding(refused.node, f"the app refuses a setting: {error}")


def _site_config_findings(file: BicepFile) -> Iterator[Finding]:
    for resource in file.resources.values():
        if not resource.target.startswith("Microsoft.Web/sites@"):
            continue
        for key, node, _ in properties(property_at(resource.value, "properties", "siteConfig")):
            if key in FORBIDDEN_PROPERTIES:
                yield file.finding(node, f"Flex Consumption forbids siteConfig.{key}")
            elif key == "appSettings":
                yield file.finding(node, "app settings stand in the resource config/appsettings, which replaces these")
