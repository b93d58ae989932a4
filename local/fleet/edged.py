"""The calls of the agent to edged, the daemon beside it: how long they take, and the words in which they fail.

Source: Azure/iotedge 1.5, edgelet (edgelet-http-mgmt, edgelet-core) and the agent's ModuleManagementHttpClient. Edged
passes on the status of Docker, and of its words none: only what it was about to do itself.
"""

from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from local.fleet.containers import Answer, ContainerRuntime
from local.fleet.manifest import ModuleSpec

type Script[T] = Generator[datetime, None, T]
"""What takes time: it yields the time at which it goes on."""

_TIMEOUT: Final = timedelta(seconds=300)
_WAITS: Final = (timedelta(0), timedelta(seconds=5), timedelta(seconds=11))
"""Before the further attempts of a call that is answered with 500 or more. The agent varies them by a fifth."""


class CallError(Exception):
    """A call that failed; its text goes into the report."""


class Edged:
    """The management API of a device.

    Every call takes as long as the runtime does, and raises CallError where it fails or takes too long.
    """

    def __init__(self, runtime: ContainerRuntime) -> None:
        self._runtime = runtime

    @property
    def now(self) -> datetime:
        """The time on the device."""
        return self._runtime.now

    def list_modules(self) -> Script[None]:
        """Asks what there is; the answer is in the runtime."""
        runtime = self._runtime
        return self._call("List modules", "list modules", lambda: Answer(runtime.now, runtime.list_error))

    def list_identities(self) -> Script[None]:
        """Asks for the identities of the modules."""
        runtime = self._runtime
        return self._call("List identities", "list identities", lambda: Answer(runtime.now, runtime.identity_error))

    def prepare(self, spec: ModuleSpec) -> Script[None]:
        """Pulls the image of a module, unless it came with the device."""
        if spec.pull_policy != "never":
            yield from self._call(
                f"prepare update for module {spec.name}",
                f'pull image "{spec.image}"',
                lambda: self._runtime.pull(spec.image),
                kind="registry",
            )

    def create(self, spec: ModuleSpec) -> Script[None]:
        """Makes the container of a module."""
        return self._create("Create", spec)

    def update(self, spec: ModuleSpec) -> Script[None]:
        """Stops and removes the container of a module, and makes another one."""
        return self._create("update", spec)

    def start(self, name: str) -> Script[None]:
        """Starts a container."""
        return self._call(f"start module {name}", f'start module "{name}"', lambda: self._runtime.start(name))

    def stop(self, name: str) -> Script[None]:
        """Stops a container."""
        return self._call(f"stop module {name}", f'stop module "{name}"', lambda: self._runtime.stop(name))

    def remove(self, name: str) -> Script[None]:
        """Stops and removes a container."""
        return self._call(f"Delete module {name}", f'remove module "{name}"', lambda: self._runtime.remove(name))

    def _create(self, operation: str, spec: ModuleSpec) -> Script[None]:
        return self._call(
            f"{operation} module {spec.name}", f'create module "{spec.name}"', lambda: self._runtime.create(spec)
        )

    def _call(
        self, operation: str, words: str, attempt: Callable[[], Answer], *, kind: str = "runtime"
    ) -> Script[None]:
        """Makes a call until it is done, refused for good, or was tried four times.

        Args:
            operation: What the agent says that it called.
            words: What edged says that it could not do.
            attempt: The runtime's part.
            kind: The kind of operation that edged names.

        Raises:
            CallError: It was not done.
        """
        runtime = self._runtime
        for wait in (*_WAITS, None):
            deadline, answer = runtime.now + _TIMEOUT, attempt()
            if answer.at is None or answer.at > deadline:
                yield deadline
                seconds = round(_TIMEOUT.total_seconds())
                raise CallError(
                    f"The request was canceled due to the configured HttpClient.Timeout of {seconds} seconds elapsing."
                )
            if answer.at > runtime.now:
                yield answer.at
            if answer.error is None:
                return
            if wait is None or answer.error < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise CallError(f"Error calling {operation}: {kind} operation error: {words}")
            yield runtime.now + wait
