"""The container runtime of a simulated device: images that are pulled, containers that run and die."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from local.fleet.manifest import ModuleSpec

_STOPPED_BY_SIGNAL: Final = 143
_KILLED: Final = 255


@dataclass(frozen=True, slots=True)
class ImageBehaviour:
    """What happens to whoever pulls and runs an image.

    Attributes:
        pull_seconds: How long a pull takes; None: it hangs for ever.
        pull_refused: The registry refuses it when that time is over.
        exits_after: Seconds from each start to the exit of the process; None: it runs on.
        exit_code: With what it exits.
    """

    pull_seconds: float | None = 4.0
    pull_refused: bool = False
    exits_after: float | None = None
    exit_code: int = 0


@dataclass(slots=True)
class Container:
    """A container that was created from a specification."""

    spec: ModuleSpec
    state: Literal["created", "running", "exited"] = "created"
    exit_code: int = 0
    started_at: datetime | None = None
    exited_at: datetime | None = None

    def start(self, now: datetime) -> None:
        """Runs its process."""
        self.state, self.started_at = "running", now

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
        images: Behaviour by image; any other image pulls and runs without trouble.
    """

    def __init__(self, images: Mapping[str, ImageBehaviour] | None = None) -> None:
        self.images = dict(images or {})
        self.containers: dict[str, Container] = {}
        self._pulled_at: dict[str, datetime] = {}

    def pull(self, image: str, now: datetime) -> datetime | None:
        """Begins a pull, or joins the one that is under way.

        Returns:
            When it ends, well or refused; not after `now` where the image is there; None: never.
        """
        behaviour = self.images.get(image, ImageBehaviour())
        if image in self._pulled_at or behaviour.pull_seconds is None:
            return self._pulled_at.get(image)
        end = now + timedelta(seconds=behaviour.pull_seconds)
        if not behaviour.pull_refused:
            self._pulled_at[image] = end
        return end

    def has(self, image: str, now: datetime) -> bool:
        """Whether an image is there."""
        return image in self._pulled_at and self._pulled_at[image] <= now

    def create(self, spec: ModuleSpec) -> None:
        """Makes a container; one of the same name is gone."""
        self.containers[spec.name] = Container(spec)

    def stop(self, name: str, now: datetime) -> None:
        """Ends a container's process with a signal, where it runs."""
        container = self.containers[name]
        if container.state == "running":
            container.exit(now, _STOPPED_BY_SIGNAL)

    def advance(self, now: datetime) -> None:
        """Lets the processes exit whose time has come."""
        for container in self.containers.values():
            behaviour = self.images.get(container.spec.image)
            if container.state != "running" or container.started_at is None:
                continue
            if behaviour is not None and behaviour.exits_after is not None:
                end = container.started_at + timedelta(seconds=behaviour.exits_after)
                if end <= now:
                    container.exit(end, behaviour.exit_code)

    def halt(self, now: datetime) -> None:
        """Ends with the machine: every process that still runs and every pull that is under way."""
        self.advance(now)
        for container in self.containers.values():
            if container.state == "running":
                container.exit(now, _KILLED)
        self._pulled_at = {image: at for image, at in self._pulled_at.items() if at <= now}
