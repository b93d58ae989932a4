"""The container runtime of a simulated device: images that are pulled, containers that run and die."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final, Literal

from local.fleet.manifest import ModuleSpec

_TERMINATED: Final = 143
"""Exit code of a process that SIGTERM ends."""
_KILLED: Final = 137
_POWER_LOST: Final = 255
_UNTIL_KILLED: Final = timedelta(seconds=10)
"""How long Docker waits for a process that does not heed SIGTERM."""


@dataclass(frozen=True, slots=True)
class ImageBehaviour:
    """What happens to whoever pulls, creates and runs an image.

    Attributes:
        pull_seconds: How long a pull takes; None: it hangs for ever.
        pull_error: How Docker refuses it when that time is over, such as 404; None: it does not.
        create_error: How it refuses to create a container; None: it does not.
        start_error: How it refuses to start one; None: it does not.
        exits_after: Seconds from each start to the exit of the process; None: it runs on.
        exit_code: With what it exits.
        sigterm_code: Its exit code where it stops when asked to; None: it does not stop, and is killed.
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
    """What a call to the runtime comes to.

    Attributes:
        at: When it ends; None: never.
        error: How it is refused; None: it is done.
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
        """Runs its process. As in Docker, what runs has the exit code 0, and keeps the time of its last exit."""
        self.state, self.started_at, self.exit_code = "running", now, 0

    def exit(self, now: datetime, code: int) -> None:
        """Ends its process."""
        self.state, self.exited_at, self.exit_code = "exited", now, code

    @property
    def status(self) -> str:
        """The state in edged's words: `running`, `stopped` or `failed`."""
        if self.state == "running":
            return "running"
        return "failed" if self.state == "exited" and self.exit_code else "stopped"


class ContainerRuntime:
    """Containers by name, and the images they come from.

    Args:
        images: Behaviour by image; any other image makes no trouble.

    Attributes:
        now: The time on the device.
        images: As given. What is changed here holds from now on.
        containers: By name.
        list_error: How the runtime refuses to list its containers; None: it does not.
        identity_error: How the identity service refuses; None: it does not.
        unreadable: Containers in a state that edged has no word for.
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
        """What happens to whoever uses an image."""
        return self.images.get(image, ImageBehaviour())

    def status(self, name: str) -> str:
        """The state of a container in edged's words; `unknown` where it has none for it."""
        return "unknown" if name in self.unreadable else self.containers[name].status

    def pull(self, image: str) -> Answer:
        """Begins a pull, or joins the one that is under way. It goes on when nobody waits for it any more."""
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
        """Whether an image is there."""
        return image in self._pulled_at and self._pulled_at[image] <= self.now

    def create(self, spec: ModuleSpec) -> Answer:
        """Makes a container. One of the same name is stopped and gone, also where the new one is refused."""
        end = self.stop(spec.name).at
        self.containers.pop(spec.name, None)
        error = self.behaviour(spec.image).create_error
        if error is None:
            self.containers[spec.name] = Container(spec)
        return Answer(end, error)

    def start(self, name: str) -> Answer:
        """Runs a container."""
        container = self.containers[name]
        error = self.behaviour(container.spec.image).start_error
        if error is None:
            container.start(self.now)
        return Answer(self.now, error)

    def stop(self, name: str) -> Answer:
        """Ends a container's process with a signal, where one runs."""
        container = self.containers.get(name)
        if container is None or container.state != "running":
            return Answer(self.now)
        code = self.behaviour(container.spec.image).sigterm_code
        end, code = (self.now + _UNTIL_KILLED, _KILLED) if code is None else (self.now, code)
        container.exit(end, code)
        return Answer(end)

    def remove(self, name: str) -> Answer:
        """Stops and removes a container."""
        end = self.stop(name).at
        del self.containers[name]
        return Answer(end)

    def kill(self, name: str) -> None:
        """Ends a container's process with the signal that nobody can heed."""
        self.containers[name].exit(self.now, _KILLED)

    def advance(self, now: datetime) -> None:
        """Lets time pass: the processes exit whose time has come."""
        self.now = now
        for container in self.containers.values():
            behaviour = self.behaviour(container.spec.image)
            if container.state != "running" or container.started_at is None or behaviour.exits_after is None:
                continue
            end = container.started_at + timedelta(seconds=behaviour.exits_after)
            if end <= now:
                container.exit(end, behaviour.exit_code)

    def halt(self) -> None:
        """Ends with the machine: every process that still runs and every pull that is under way."""
        for container in self.containers.values():
            if container.state == "running":
                container.exit(self.now, _POWER_LOST)
        self._pulled_at = {image: at for image, at in self._pulled_at.items() if at <= self.now}
