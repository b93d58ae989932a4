"""The events of the event hub `transitions`, as types: for programs that read them.

Made of schemas/definitions.json by `make schemas`: change that file. A later version may tell more than is here.
"""

from typing import Literal, NotRequired, TypedDict

type DeviceEventType = Literal[
    "edge.deployment.device.deleted",
    "edge.deployment.device.recovered",
    "edge.deployment.device.stuck",
    "edge.deployment.device.transitioned",
    "edge.deployment.module.recovered",
    "edge.deployment.module.stuck",
    "edge.deployment.module.transitioned",
]
type DeploymentEventType = Literal[
    "edge.deployment.completed",
    "edge.deployment.first_failure",
    "edge.deployment.stalled",
    "edge.deployment.started",
    "edge.deployment.superseded",
    "edge.deployment.threshold_exceeded",
]


class Comparison(TypedDict):
    """A value of a twin, beside what it was compared with."""

    path: str
    """Where in the twin the value stands."""
    value: str | float | bool | None
    expected: str | float | bool | None
    """What it was compared with."""
    expectedPath: str | None
    """Where that stands, if it is in the twin too."""


class DeviceEventData(TypedDict):
    """What every event about a device or a module tells."""

    hub: str
    """Short name of the IoT hub: the first label of its host name."""
    deviceId: str
    """The device, as the hub names it."""
    kind: str
    module: str
    """Name of the module; empty where the device itself is meant."""
    fromState: str
    """The state that was announced last; empty where there was none. Of stuck and recovered the state it is in."""
    toState: str
    """The state that it is in; empty where there is none any more."""
    reason: str
    """Why, in one word of a closed set."""
    message: str
    """Why, in a sentence for a person. Not a text to compare with."""
    cause: str | None
    """What groups it with others that fail alike: reason, module, image and exit code. Null where nothing is wrong, or
    where another cause says it."""
    evidence: list[Comparison]
    """What was compared."""
    desiredVersion: int | None
    """$version of the desired properties; null where the twin has none."""
    deployments: list[str]
    """The credited deployments: names of the configurations that are Applied. Empty for an individual deployment."""
    cohorts: list[str]
    """The cohorts that the device is in, by the tags of COHORT_TAGS, such as ring=canary."""
    initial: bool
    """Whether it is the first of a device: what it was when the app saw it first."""
    previousSince: str | None
    """When the state that was announced last began; of stuck and recovered, since when it is or was unsettled. Null
    where an earlier release wrote the row."""
    since: str | None
    """When the state that it is in began: before `time` where it had to last. Null where an earlier release wrote the
    row."""
    stuckAt: str | None
    """When it gets stuck unless it settles, or got so; of recovered, when it had got so. Null where no clock of its own
    runs."""
    restartCount: int | None
    """How often the agent restarted the module since it was healthy last; null of a device, and where it is not
    reported."""
    imageHash: str | None
    """The digest of the image that the module reports; null of a device, and where the agent does not say it."""
    observedAt: str
    """When the twin was read."""
    durationSeconds: float
    """Seconds from `previousSince` to `time`: in the state that was announced last; of stuck and recovered,
    unsettled."""


class DeploymentEventData(TypedDict):
    """What every event about a deployment as a whole tells: its devices when that was seen."""

    hub: str
    """Short name of the IoT hub: the first label of its host name."""
    deployment: str
    """Its id."""
    version: int
    """Counts the times that it came into force: was created anew, or went from no credited device to some."""
    devices: int
    """On how many it is credited."""
    successful: int
    """How many of them are successful, and no clock of theirs runs."""
    settling: int
    """How many of them look successful and wait for the end of a clock."""
    failing: int
    """How many of them are invalid, or have something of the deployment that is stuck and not as desired."""
    waiting: int
    """How many of them still have what was desired before the deployment was created anew."""
    targeted: int | None
    """On how many devices the hub says that its target condition holds; null where the hub gives no list."""
    failureThreshold: str | None
    """FAILURE_THRESHOLD of the app: a number or a percentage; null where it is not set."""
    states: dict[str, int]
    """How many of them are in each state; a state without devices is left out."""


class DeviceEvent(TypedDict):
    """An event about a device or a module: a CloudEvent in structured JSON."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: DeviceEventType
    subject: NotRequired[str]
    time: str
    sequence: str
    severity: Literal["info", "warning", "error"]
    dataschema: str
    datacontenttype: Literal["application/json"]
    data: DeviceEventData


class DeploymentEvent(TypedDict):
    """An event about a deployment as a whole: a CloudEvent in structured JSON."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: DeploymentEventType
    subject: str
    time: str
    sequence: str
    severity: Literal["info", "warning", "error"]
    dataschema: str
    datacontenttype: Literal["application/json"]
    data: DeploymentEventData


type Event = DeviceEvent | DeploymentEvent
"""Any event: it is about a device where `data` has a `deviceId`."""
