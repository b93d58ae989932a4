"""A verdict on a twin: the state of the deployment on a device and on each of its modules."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from status_core.reading import Scalar
from status_core.reasons import Reason
from status_core.states import Flag, ModuleState, Portal, State


@dataclass(frozen=True, slots=True)
class Evidence:
    """One comparison: what stands at a path of the twin, and what it was compared with.

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
    """The state of one module. What is not desired, or not reported, is None; `grace` is its own label's."""

    state: ModuleState
    reason: Reason
    message: str
    desired_status: str | None
    desired_image: str | None
    runtime_status: str | None
    reported_image: str | None
    exit_code: int | None
    grace: timedelta | None
    evidence: tuple[Evidence, ...]

    def as_json(self) -> dict[str, Any]:
        """The module as `python -m status_core` prints it."""
        return {
            "state": self.state,
            "reason": self.reason,
            "message": self.message,
            "desired": {"status": self.desired_status, "image": self.desired_image},
            "reported": {
                "status": self.runtime_status,
                "image": self.reported_image,
                "exitCode": self.exit_code,
            },
        }


@dataclass(frozen=True, slots=True)
class DeploymentStatus:
    """The state of the deployment on one device, and why.

    Attributes:
        rule: Id of the rule that decided (`status_core.rules`).
        deployments: The credited deployments: names of the configurations that are Applied.
        targeted: Names of those that are only Targeted.
        documented: Rules of reported_states_during_deployment.md that hold literally.
        portal: What IoT Hub's own counters say.
        modules: By name; the system modules are `$edgeAgent` and `$edgeHub`.
        changed: The newest hub time of the desired and the reported section.
        twin_version: `version` of the twin that was judged.
    """

    device_id: str
    state: State
    rule: str
    reason: Reason
    message: str
    desired_version: int | None
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
    twin_version: int | None

    def as_json(self) -> dict[str, Any]:
        """The status as `python -m status_core` prints it."""
        return {
            "deviceId": self.device_id,
            "state": self.state,
            "rule": self.rule,
            "reason": self.reason,
            "message": self.message,
            "desiredVersion": self.desired_version,
            "lastDesiredVersion": self.last_desired_version,
            "deployments": list(self.deployments),
            "targeted": list(self.targeted),
            "flags": list(self.flags),
            "documented": list(self.documented),
            "portal": self.portal,
            "evidence": [item.as_json() for item in self.evidence],
            "modules": {name: module.as_json() for name, module in self.modules.items()},
        }
