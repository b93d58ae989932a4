"""What the commands ask of a fleet, wherever the answer comes from."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from status_app.errors import StatusAppError

PAGE: Final = 200
"""Items that are asked for at once: the most that the API gives."""

type Answer = Mapping[str, Any]
"""A JSON object as the API gives it (schemas/openapi.yaml)."""


class RefusedError(StatusAppError):
    """What is asked refuses to answer, or is not there: waiting does not mend it. The text says what may."""


class FleetStatus(Protocol):
    """The status of a fleet, in the shapes of the API.

    Every method raises UnavailableError where there is no answer now, after a few attempts, and RefusedError.
    """

    async def deployment(self, deployment: str, cohort: str | None = None) -> Answer | None:
        """A deployment, or its devices of one cohort, counted now.

        None where no device is credited with it and none ever was.
        """

    def devices(
        self, deployment: str, *, state: str | None = None, stuck: bool = False, cohort: str | None = None
    ) -> AsyncIterator[Answer]:
        """The devices on which a deployment is credited, those to which all applies that is given."""

    async def device(self, device_id: str) -> Answer | None:
        """A device with its modules and evidence; None where it is not known."""

    async def transitions(self, device_id: str, limit: int) -> Sequence[Answer]:
        """The last transitions of a device, newest first; of one that is deleted too."""

    async def listed_at(self) -> str | None:
        """When the hub gave its list of deployments; None where it never did."""

    def now(self) -> datetime:
        """The time by the clock of what answers: of the last answer, or the machine's before the first one."""

    async def close(self) -> None:
        """Close what is open."""


class FleetLists(Protocol):
    """The lists of a fleet, in the shapes of the API. Errors as of FleetStatus."""

    def items(self, name: str, words: Mapping[str, str], page: int = PAGE) -> AsyncIterator[Answer]:
        """The items of a list, all pages of it: `devices`, `deployments`, `causes` or `images`.

        Args:
            name: The list, as the API calls it.
            words: The parameters of the API by which it is asked, but for those of a page.
            page: Items that are asked for at once: whoever needs a few alone asks for no more.
        """


class FleetSource(FleetStatus, FleetLists, Protocol):
    """What answers for a fleet."""
