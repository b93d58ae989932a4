"""The targets of notices: the setting `NOTIFY`, checked at start.

Addresses and keys are secrets. They are in settings that `NOTIFY` names, and no error shows one.
"""

import ipaddress
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Never
from urllib.parse import urlsplit

from status_app.errors import SettingError
from status_app.events.severity import Severity
from status_core import Milestone

SETTING: Final = "NOTIFY"
CAUSE: Final = "edge.deployment.cause"
"""The type of a message about a cause. It is not an event of the event hub."""
MILESTONES: Final = tuple(f"edge.deployment.{milestone}" for milestone in Milestone)
DEVICE_EVENTS: Final = (
    "edge.deployment.device.transitioned",
    "edge.deployment.device.stuck",
    "edge.deployment.device.recovered",
    "edge.deployment.device.deleted",
    "edge.deployment.module.transitioned",
    "edge.deployment.module.stuck",
    "edge.deployment.module.recovered",
)
MOST_TARGETS: Final = 10

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_UNRESOLVED: Final = "@Microsoft.KeyVault("
_SEVERITIES: Final = (Severity.INFO, Severity.WARNING, Severity.ERROR)
_AZURE_HOST: Final = ipaddress.ip_address("168.63.129.16")
"""The virtual address of Azure's own services to a machine."""


class Format(StrEnum):
    """What a target accepts."""

    CLOUDEVENTS = "cloudevents"
    """Every event, as a CloudEvent in structured JSON: for programs."""
    TEAMS = "teams"
    """An adaptive card, for a Workflows webhook of Teams: for people."""
    SLACK = "slack"
    """A text, for an incoming webhook of Slack or a compatible service: for people."""


class Auth(StrEnum):
    """How the app authenticates."""

    NONE = "none"
    """Only by the address."""
    HEADER = "header"
    """With a header that holds a secret."""
    IDENTITY = "identity"
    """With a token of its managed identity."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which news a target gets. An empty field lets everything through.

    Attributes:
        types: Types of events, including `edge.deployment.cause`.
        severity: The lowest severity.
        deployments: Ids of deployments; one that ends in `*` is a prefix.
        cohorts: Cohorts of devices. News about a deployment as a whole always pass.
    """

    types: frozenset[str] = frozenset()
    severity: Severity = Severity.INFO
    deployments: tuple[str, ...] = ()
    cohorts: tuple[str, ...] = ()

    def allows(self, event: Mapping[str, Any]) -> bool:
        """Whether an event passes: the CloudEvent of a transition or of a milestone."""
        data = event["data"]
        deployments = data["deployments"] if "deployments" in data else [data["deployment"]]
        cohorts = data.get("cohorts") if "deviceId" in data else None
        return (
            self.takes(event["type"], event.get("severity", Severity.INFO))
            and (not self.deployments or any(map(self.names, deployments)))
            and ("deviceId" not in data or not self.cohorts or not {*self.cohorts}.isdisjoint(cohorts or ()))
        )

    def takes(self, event_type: str, severity: str) -> bool:
        """Whether news of a type and severity pass."""
        known = severity in tuple(_SEVERITIES)
        return (not self.types or event_type in self.types) and (
            not known or _SEVERITIES.index(Severity(severity)) >= _SEVERITIES.index(self.severity)
        )

    def names(self, deployment: str) -> bool:
        """Whether a deployment passes."""
        return not self.deployments or any(
            deployment == wanted or (wanted.endswith("*") and deployment.startswith(wanted[:-1]))
            for wanted in self.deployments
        )


@dataclass(frozen=True, slots=True)
class Target:
    """Where notices go.

    Attributes:
        name: Its name in rows, logs and for people.
        url: Its address, which is a secret.
        header: Name and value of the header that authenticates the app. The value is a secret.
        scope: The scope of the identity's token.
    """

    name: str
    format: Format
    url: str = field(repr=False)
    auth: Auth = Auth.NONE
    header: tuple[str, str] | None = field(default=None, repr=False)
    scope: str = ""
    filter: Filter = field(default_factory=Filter)

    @property
    def is_for_people(self) -> bool:
        """Whether people read it: they get causes and milestones, not each device."""
        return self.format is not Format.CLOUDEVENTS

    def wants(self, event: Mapping[str, Any]) -> bool:
        """Whether it gets an event of the event hub."""
        return (event["type"] in MILESTONES or not self.is_for_people) and self.filter.allows(event)


def is_refused(address: str) -> bool:
    """Whether notices never go to an IP address: this machine, its links, and the cloud's own services to it."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or found
    return (
        found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast or found == _AZURE_HOST
    )


def read_targets(environment: Mapping[str, str]) -> tuple[Target, ...]:
    """Read the targets of `NOTIFY`; none if it is not set.

    Raises:
        SettingError: It is wrong, or a setting that it names is.
    """
    value = environment.get(SETTING, "").strip() or "[]"
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):  # not shown: it may hold an address
        raise SettingError(f"{SETTING} is not JSON: expected a list of targets") from None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise SettingError(f"{SETTING} is not a list of JSON objects: expected a list of targets")
    if len(found) > MOST_TARGETS:
        raise SettingError(f"{SETTING} has {len(found)} targets: expected at most {MOST_TARGETS}")
    targets = tuple(_Reader(number, item, environment).target() for number, item in enumerate(found, 1))
    names = [target.name for target in targets]
    for name in names:
        if names.count(name) > 1:
            raise SettingError(f"{SETTING} has two targets named {name!r}")
    if targets and not environment.get("TRANSITIONS_HUB", "").strip():
        raise SettingError(f"{SETTING} has targets, but TRANSITIONS_HUB, the source of their news, is not set")
    return targets


class _Reader:
    """Reads one target. Errors name the target and what is valid."""

    def __init__(self, number: int, item: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._item = item
        self._environment = environment
        self._where = f"{SETTING}, target {number}"

    def target(self) -> Target:
        """Return the target, fully checked."""
        name = self._item.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self._refuse("name takes small letters, digits and hyphens, at most 40")
        self._where += f" ({name})"
        kind = Format(self._word("format", tuple(Format)))
        auth = Auth(self._word("auth", tuple(Auth), Auth.NONE))
        known = {"name", "format", "auth", "urlSetting", "types", "severity", "deployments", "cohorts"}
        known |= {"url"} if kind is Format.CLOUDEVENTS else set()
        known |= {Auth.HEADER: {"headerName", "valueSetting"}, Auth.IDENTITY: {"scope"}}.get(auth, set())
        if unknown := sorted(self._item.keys() - known):
            self._refuse(f"{unknown[0]!r} is unknown: expected {', '.join(sorted(known))}")
        if kind is not Format.CLOUDEVENTS and auth is not Auth.NONE:
            self._refuse(f"auth takes none with {kind}, whose address is the secret")
        return Target(
            name,
            kind,
            self._url(kind),
            auth,
            self._header() if auth is Auth.HEADER else None,
            self._text("scope", "the scope of a token, such as https://eventgrid.azure.net/.default")
            if auth is Auth.IDENTITY
            else "",
            self._filter(kind),
        )

    def _url(self, kind: Format) -> str:
        if ("url" in self._item) == ("urlSetting" in self._item):
            or_url = " or url" if kind is Format.CLOUDEVENTS else ""
            self._refuse(f"set either urlSetting{or_url}")
        if "urlSetting" in self._item:
            name, url = self._named("urlSetting")
            return self._checked(f"the setting {name}", url)
        url = self._text("url", "an https address without a query")
        if "?" in url or "#" in url:  # a query is often a key
            self._refuse("url has a query: put an address with a secret into a setting, and its name into urlSetting")
        return self._checked("url", url)

    def _checked(self, what: str, url: str) -> str:
        """Check an address. It is a secret: no error shows it."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or not url.isascii() or any(character.isspace() for character in url):
            self._refuse(f"{what} is not an address: expected https://...")
        if parts.scheme != "https":
            self._refuse(f"{what} is not an https address")
        if parts.username is not None:
            self._refuse(f"{what} has an address with a user: use auth instead")
        return url

    def _header(self) -> tuple[str, str]:
        name = self._text("headerName", "the name of a header")
        if not _HEADER.fullmatch(name):
            self._refuse("headerName takes the name of a header")
        setting, value = self._named("valueSetting")
        if not value.isascii() or not value.isprintable():
            self._refuse(f"the setting {setting} has a value that no header can have: expected printable ASCII")
        return name, value

    def _named(self, key: str) -> tuple[str, str]:
        """Return the name of a setting in the target, and the setting's value."""
        name = self._text(key, "the name of a setting")
        value = self._environment.get(name, "").strip()
        if not value:
            self._refuse(f"{key} names {name}, but that setting is missing")
        if value.startswith(_UNRESOLVED):
            self._refuse(f"the setting {name} is a Key Vault reference that Azure has not resolved")
        return name, value

    def _filter(self, kind: Format) -> Filter:
        known = MILESTONES + (DEVICE_EVENTS if kind is Format.CLOUDEVENTS else (CAUSE,))
        types = self._texts("types")
        for name in types:
            if name not in known:
                self._refuse(f"types has {name!r}: {kind} takes {', '.join(known)}")
        severity = Severity(self._word("severity", _SEVERITIES, Severity.INFO))
        return Filter(frozenset(types), severity, self._texts("deployments"), self._texts("cohorts"))

    def _word(self, key: str, words: Collection[str], default: str | None = None) -> str:
        value = self._item.get(key, default)
        if value not in tuple(words):
            self._refuse(f"{key} takes {', '.join(words)}")
        return str(value)

    def _text(self, key: str, takes: str) -> str:
        value = self._item.get(key)
        if not isinstance(value, str) or not value.strip():
            self._refuse(f"{key} takes {takes}")
        return value.strip()

    def _texts(self, key: str) -> tuple[str, ...]:
        value: Sequence[Any] = self._item.get(key, [])
        is_text: Callable[[Any], bool] = lambda item: isinstance(item, str) and bool(item)  # noqa: E731 (used once)
        if not isinstance(value, list) or not all(map(is_text, value)):
            self._refuse(f"{key} takes a list of texts")
        return tuple(value)

    def _refuse(self, what: str) -> Never:
        raise SettingError(f"{self._where}: {what}")
