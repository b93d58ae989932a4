"""The container runtime of a simulated device: its images and containers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final, Literal

from local.fleet.manifest import ModuleSpec

_TERMINATED: Final = 143
"""Exit code of a process ended by SIGTERM."""
_KILLED: Final = 137
_POWER_LOST: Final = 255
_UNTIL_KILLED: Final = timedelta(seconds=10)
"""How long Docker waits for a process that ignores SIGTERM."""


@dataclass(frozen=True, slots=True)
class ImageBehaviour:
    """What happens when an image is pulled, created and run.

    Attributes:
        pull_seconds: How long a pull takes; None: it hangs forever.
        pull_error: Docker's refusal after that time, such as 404; None: it succeeds.
        create_error: Docker's refusal to create a container; None: it succeeds.
        start_error: Docker's refusal to start one; None: it succeeds.
        exits_after: Seconds from each start to the exit of the process; None: it keeps running.
        exit_code: Its exit code then.
        sigterm_code: Its exit code after SIGTERM; None: it ignores SIGTERM, and is killed.
    """

    pull_seconds: float | None = 4.0
    pull_error: HTTPStatus | None = None
    create_error: HTTPStatus | None = None
    start_error: HTTPStatus | None = None
    exits_after: float | None = None
    exit_code: int = 0
    sigterm_code: int | None = _TERMINATED


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a call to the runtime.

    Attributes:
        at: When it ends; None: never.
        error: The refusal; None: it succeeds.
    """

    at: datetime | None
    error: HTTPStatus | None = None


@dataclass(slots=True)
class Container:
    """A container that was created from a specification."""

    spec: ModuleSpec
    state: Literal["created", "running", "exited"] = "created"
    exit_code: int = 0
    started_at: datetime | None = None
    exited_at: datetime | None = None

    def start(self, now: datetime) -> None:
        """Run its process. As in Docker, a running container has exit code 0, and keeps the time of its last exit."""
        self.state, self.started_at, self.exit_code = "running", now, 0

    def exit(self, now: datetime, code: int) -> None:
        """End its process."""
        self.state, self.exited_at, self.exit_code = "exited", now, code

    @property
    def status(self) -> str:
        """The state in edged's words: `running`, `stopped` or `failed`."""
        if self.state == "running":
            return "running"
        return "failed" if self.state == "exited" and self.exit_code else "stopped"


class ContainerRuntime:
    """The containers and images of a device.

    Args:
        images: Behavior by image. Other images work.

    Attributes:
        now: The time on the device.
        images: As given. Changes take effect at once.
        containers: By name.
        list_error: The refusal to list containers; None: it succeeds.
        identity_error: The refusal of the identity service; None: it succeeds.
        unreadable: Containers in a state that edged has no name for.
    """

    def __init__(self, images: Mapping[str, ImageBehaviour] | None = None) -> None:
        self.now = datetime.min.replace(tzinfo=UTC)
        self.images = dict(images or {})
        self.containers: dict[str, Container] = {}
        self.list_error: HTTPStatus | None = None
        self.identity_error: HTTPStatus | None = None
        self.unreadable: set[str] = set()
        self._pulled_at: dict[str, datetime] = {}

    def behaviour(self, image: str) -> ImageBehaviour:
        """Return the behavior of an image."""
        return self.images.get(image, ImageBehaviour())

    def status(self, name: str) -> str:
        """Return the state of a container in edged's terms; `unknown` if edged has none."""
        return "unknown" if name in self.unreadable else self.containers[name].status

    def pull(self, image: str) -> Answer:
        """Start a pull, or join the one in progress. It continues even if the caller stops waiting."""
        behaviour = self.behaviour(image)
        if image in self._pulled_at:
            return Answer(max(self.now, self._pulled_at[image]))
        if behaviour.pull_seconds is None:
            return Answer(None)
        end = self.now + timedelta(seconds=behaviour.pull_seconds)
        if behaviour.pull_error is None:
            self._pulled_at[image] = end
        return Answer(end, behaviour.pull_error)

    def has(self, image: str) -> bool:
        """Whether an image is on the device."""
        return image in self._pulled_at and self._pulled_at[image] <= self.now

    def create(self, spec: ModuleSpec) -> Answer:
        """Create a container. An existing one of the same name is removed, even if the new one is refused."""
        end = self.stop(spec.name).at
        self.containers.pop(spec.name, None)
        error = self.behaviour(spec.image).create_error
        if error is None:
            self.containers[spec.name] = Container(spec)
        return Answer(end, error)

    def start(self, name: str) -> Answer:
        """Start a container."""
        container = self.containers[name]
        error = self.behaviour(container.spec.image).start_error
        if error is None:
            container.start(self.now)
        return Answer(self.now, error)

    def stop(self, name: str) -> Answer:
        """Stop a container's process with a signal, if it runs."""
        container = self.containers.get(name)
        if container is None or container.state != "running":
            return Answer(self.now)
        code = self.behaviour(container.spec.image).sigterm_code
        end, code = (self.now + _UNTIL_KILLED, _KILLED) if code is None else (self.now, code)
        container.exit(end, code)
        return Answer(end)

    def remove(self, name: str) -> Answer:
        """Stop and remove a container."""
        end = self.stop(name).at
        del self.containers[name]
        return Answer(end)

    def kill(self, name: str) -> None:
        """Kill a container's process."""
        self.containers[name].exit(self.now, _KILLED)

    def advance(self, now: datetime) -> None:
        """Let time pass: processes exit when they are due."""
        self.now = now
        for container in self.containers.values():
            behaviour = self.behaviour(container.spec.image)
            if container.state != "running" or container.started_at is None or behaviour.exits_after is None:
                continue
            end = container.started_at + timedelta(seconds=behaviour.exits_after)
            if end <= now:
                container.exit(end, behaviour.exit_code)

    def halt(self) -> None:
        """Stop with the machine: end all processes and pulls."""
        for container in self.containers.values():
            if container.state == "running":
                container.exit(self.now, _POWER_LOST)
        self._pulled_at = {image: at for image, at in self._pulled_at.items() if at <= self.now}
