"""What commands ask of a fleet, wherever the answer comes from."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from status_app.errors import StatusAppError

PAGE: Final = 200
"""Items per request: the most that the API allows."""

type Answer = Mapping[str, Any]
"""A JSON object as the API returns it (schemas/openapi.yaml)."""


class RefusedError(StatusAppError):
    """The source refuses to answer, or does not exist. Waiting does not help; the message says what may."""


class FleetStatus(Protocol):
    """The status of a fleet, in the shapes of the API.

    Every method raises UnavailableError if no attempt gets an answer, and RefusedError.
    """

    async def deployment(self, deployment: str, cohort: str | None = None) -> Answer | None:
        """Return a deployment, or its devices of one cohort, counted now.

        None if no device has it, and none ever did.
        """

    def devices(
        self, deployment: str, *, state: str | None = None, stuck: bool = False, cohort: str | None = None
    ) -> AsyncIterator[Answer]:
        """Iterate over the devices of a deployment that match all given filters."""

    async def device(self, device_id: str) -> Answer | None:
        """Return a device with its modules and evidence; None if it is not known."""

    async def transitions(self, device_id: str, limit: int) -> Sequence[Answer]:
        """Return the last transitions of a device, newest first, even of a deleted one."""

    async def listed_at(self) -> str | None:
        """Return when the hub gave its list of deployments; None if it never did."""

    def now(self) -> datetime:
        """Return the source's time: that of its last answer, or the machine's before the first one."""

    async def close(self) -> None:
        """Close all connections."""


class FleetLists(Protocol):
    """The lists of a fleet, in the shapes of the API. Errors are those of FleetStatus."""

    def items(self, name: str, words: Mapping[str, str], page: int = PAGE) -> AsyncIterator[Answer]:
        """Iterate over all items of a list: `devices`, `deployments`, `causes` or `images`.

        Args:
            name: The list, by its name in the API.
            words: The API's query parameters, without those of paging.
            page: Items per request. A caller that needs only a few should ask for no more.
        """


class FleetSource(FleetStatus, FleetLists, Protocol):
    """A source of the status and the lists of a fleet."""
