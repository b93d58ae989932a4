"""The verdict on a twin: the state of the deployment on a device and on each of its modules."""

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

    `expected_path` is the path of the other value if that is in the twin too.
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
    """The state of one module. Fields of what is not desired, or not reported, are None.

    Attributes:
        image_hash: The digest of the reported image, if the agent reports it.
        restart_count: Restarts by the agent since the module last ran for ten minutes.
        last_start: When it last started, by the device's clock; None if never, or not reported.
        last_exit: When it last exited, by the same clock; None if never, or not reported.
        grace: The grace period of its own label.
        cause: Groups it with modules of other devices; None if nothing is wrong, or the device's cause covers it.
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
        """Return the module as `python -m status_core` prints it."""
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
        deployments: Names of the configurations that are Applied.
        targeted: Names of the configurations that are only Targeted.
        desired_at: Hub time of the last change of the desired section.
        documented: Rules of reported_states_during_deployment.md that hold literally.
        portal: How IoT Hub's own counters count the device.
        modules: By name; the system modules are `$edgeAgent` and `$edgeHub`.
        changed: The newest hub time of the desired and the reported section; None if one is missing.
        reported_at: Hub time of the last report.
        is_lagging: That report shows what ran before the plan: it took the version, or is the first from a new process
            of the agent.
        twin_version: `version` of the twin that was judged.
        connection_state: The connection as IoT Hub sees it, minutes late at most.
        last_activity: When IoT Hub last saw activity of the device.
        cause: Groups the device with others; None if nothing is wrong.
        lint: What the agent would refuse in the desired section, and what is surely unwanted there.
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
        """The desired image of edgeAgent; None if there is none."""
        agent = self.modules.get(EDGE_AGENT)
        return None if agent is None else agent.desired_image

    def as_json(self) -> dict[str, Any]:
        """Return the status as `python -m status_core` prints it."""
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
