"""A verdict on a twin: the state of the deployment on a device and on each of its modules."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from status_core.causes import Cause
from status_core.lint import Finding
from status_core.reading import Scalar
from status_core.reasons import Reason
from status_core.states import Flag, ModuleState, Portal, State
from status_core.twin import EDGE_AGENT


@dataclass(frozen=True, slots=True)
class Evidence:
    """One comparison: the value at a path of the twin, and what it was compared with.

    `expected_path` is the path of the other value where that is in the twin too.
    """

    path: str
    value: Scalar
    expected: Scalar
    expected_path: str | None = None

    def as_json(self) -> dict[str, Scalar]:
        """The comparison as a JSON object."""
        return {
            "path": self.path,
            "value": self.value,
            "expected": self.expected,
            "expectedPath": self.expected_path,
        }


@dataclass(frozen=True, slots=True)
class ModuleStatus:
    """The state of one module. What is not desired, or not reported, is None.

    Attributes:
        image_hash: The digest of the reported image, where the agent says it.
        restart_count: Restarts by the agent since the module ran for ten minutes.
        last_start: When it last started, by the device's clock; None where it never did, or no report says so.
        last_exit: When it last exited, by the same clock; None where it never did, or no report says so.
        grace: The grace period of its own label.
        cause: What groups it with modules of other devices; None where nothing is wrong, or the device's cause says
            it all.
    """

    state: ModuleState
    reason: Reason
    message: str
    desired_status: str | None
    desired_image: str | None
    runtime_status: str | None
    reported_image: str | None
    image_hash: str | None
    exit_code: int | None
    restart_count: int | None
    last_start: datetime | None
    last_exit: datetime | None
    grace: timedelta | None
    evidence: tuple[Evidence, ...]
    cause: Cause | None

    def as_json(self) -> dict[str, Any]:
        """The module as `python -m status_core` prints it."""
        return {
            "state": self.state,
            "reason": self.reason,
            "message": self.message,
            "cause": None if self.cause is None else str(self.cause),
            "desired": {"status": self.desired_status, "image": self.desired_image},
            "reported": {
                "status": self.runtime_status,
                "image": self.reported_image,
                "exitCode": self.exit_code,
                "restartCount": self.restart_count,
                "lastStartAt": _iso(self.last_start),
                "lastExitAt": _iso(self.last_exit),
            },
        }


@dataclass(frozen=True, slots=True)
class DeploymentStatus:
    """The state of the deployment on one device, and why.

    Attributes:
        rule: Id of the rule that decided (`status_core.rules`).
        deployments: The credited deployments: names of the configurations that are Applied.
        targeted: Names of those that are only Targeted.
        desired_at: Hub time of the last change of the desired section.
        documented: Rules of reported_states_during_deployment.md that hold literally.
        portal: What IoT Hub's own counters say.
        modules: By name; the system modules are `$edgeAgent` and `$edgeHub`.
        changed: The newest hub time of the desired and the reported section; None where one does not say.
        reported_at: Hub time of the last report.
        is_lagging: That report shows what ran before the plan: it took the version, or is the first of a new process of
            the agent.
        twin_version: `version` of the twin that was judged.
        connection_state: IoT Hub's word on the connection, minutes late at most.
        last_activity: IoT Hub's word on when the device last did anything.
        cause: What groups the device with others; None where nothing is wrong.
        lint: What the agent would refuse in the desired section, or nobody wants there.
    """

    device_id: str
    state: State
    rule: str
    reason: Reason
    message: str
    desired_version: int | None
    desired_at: datetime | None
    last_desired_version: int | None
    status_code: int | None
    deployments: tuple[str, ...]
    targeted: tuple[str, ...]
    flags: tuple[Flag, ...]
    documented: tuple[str, ...]
    portal: Portal | None
    evidence: tuple[Evidence, ...]
    modules: dict[str, ModuleStatus]
    agent_version: str | None
    changed: datetime | None
    reported_at: datetime | None
    is_lagging: bool
    twin_version: int | None
    connection_state: str | None
    last_activity: datetime | None
    cause: Cause | None
    lint: tuple[Finding, ...]

    @property
    def desired_agent_image(self) -> str | None:
        """The image that edgeAgent should have; None where none is desired."""
        agent = self.modules.get(EDGE_AGENT)
        return None if agent is None else agent.desired_image

    def as_json(self) -> dict[str, Any]:
        """The status as `python -m status_core` prints it."""
        return {
            "deviceId": self.device_id,
            "state": self.state,
            "rule": self.rule,
            "reason": self.reason,
            "message": self.message,
            "cause": None if self.cause is None else str(self.cause),
            "desiredVersion": self.desired_version,
            "lastDesiredVersion": self.last_desired_version,
            "deployments": list(self.deployments),
            "targeted": list(self.targeted),
            "flags": list(self.flags),
            "documented": list(self.documented),
            "portal": self.portal,
            "evidence": [item.as_json() for item in self.evidence],
            "lint": [str(finding) for finding in self.lint],
            "modules": {name: module.as_json() for name, module in self.modules.items()},
        }


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
