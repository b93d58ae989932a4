"""The agent's calls to edged, its daemon: how long they take, and their error messages.

Source: Azure/iotedge 1.5, edgelet (edgelet-http-mgmt, edgelet-core) and the agent's ModuleManagementHttpClient. Edged
passes on Docker's status, but not its message: only what edged itself was about to do.
"""

from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from local.fleet.containers import Answer, ContainerRuntime
from local.fleet.manifest import ModuleSpec

type Script[T] = Generator[datetime, None, T]
"""A generator that takes time: it yields the time at which it continues."""

_TIMEOUT: Final = timedelta(seconds=300)
_WAITS: Final = (timedelta(0), timedelta(seconds=5), timedelta(seconds=11))
"""Delays before retries of a call that failed with 500 or more. The agent varies them by a fifth."""


class CallError(Exception):
    """A call that failed; its text goes into the report."""


class Edged:
    """The management API of a device.

    Every call takes as long as the runtime, and raises CallError if it fails or takes too long.
    """

    def __init__(self, runtime: ContainerRuntime) -> None:
        self._runtime = runtime

    @property
    def now(self) -> datetime:
        """The time on the device."""
        return self._runtime.now

    def list_modules(self) -> Script[None]:
        """Request the modules. The answer is in the runtime."""
        runtime = self._runtime
        return self._call("List modules", "list modules", lambda: Answer(runtime.now, runtime.list_error))

    def list_identities(self) -> Script[None]:
        """Request the identities of the modules."""
        runtime = self._runtime
        return self._call("List identities", "list identities", lambda: Answer(runtime.now, runtime.identity_error))

    def prepare(self, spec: ModuleSpec) -> Script[None]:
        """Pull the image of a module, unless the device was delivered with it."""
        if spec.pull_policy != "never":
            yield from self._call(
                f"prepare update for module {spec.name}",
                f'pull image "{spec.image}"',
                lambda: self._runtime.pull(spec.image),
                kind="registry",
            )

    def create(self, spec: ModuleSpec) -> Script[None]:
        """Create the container of a module."""
        return self._create("Create", spec)

    def update(self, spec: ModuleSpec) -> Script[None]:
        """Stop and remove the container of a module, and create another one."""
        return self._create("update", spec)

    def start(self, name: str) -> Script[None]:
        """Start a container."""
        return self._call(f"start module {name}", f'start module "{name}"', lambda: self._runtime.start(name))

    def stop(self, name: str) -> Script[None]:
        """Stop a container."""
        return self._call(f"stop module {name}", f'stop module "{name}"', lambda: self._runtime.stop(name))

    def remove(self, name: str) -> Script[None]:
        """Stop and remove a container."""
        return self._call(f"Delete module {name}", f'remove module "{name}"', lambda: self._runtime.remove(name))

    def _create(self, operation: str, spec: ModuleSpec) -> Script[None]:
        return self._call(
            f"{operation} module {spec.name}", f'create module "{spec.name}"', lambda: self._runtime.create(spec)
        )

    def _call(
        self, operation: str, words: str, attempt: Callable[[], Answer], *, kind: str = "runtime"
    ) -> Script[None]:
        """Make a call until it succeeds, is refused for good, or was tried four times.

        Args:
            operation: The agent's name of the call.
            words: Edged's description of what failed.
            attempt: Runs the runtime's part.
            kind: Edged's name of the kind of operation.

        Raises:
            CallError: It failed.
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
