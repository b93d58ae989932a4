"""What is announced of a device and its modules: each state once, and that all is well only once it has stayed so."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from status_core.reasons import Reason, known_reason
from status_core.states import ModuleState, State

AS_DESIRED: Final = (ModuleState.SETTLED, State.SUCCESSFUL, State.NO_DEPLOYMENT)
_OWN_REASON: Final = (Reason.SETTLING, Reason.SKIPPED, Reason.NOT_DESIRED, Reason.AGENT_UPDATING)
"""Reasons that the comparison gives, or the app: the agent named no step."""


@dataclass(frozen=True, slots=True)
class News:
    """What was announced of a module, or of the device.

    Attributes:
        state: The state of the last transition.
        since: When that state began.
        told: The states announced since all was well, or since the version; and reasons that only a person can change.
    """

    state: str
    since: datetime
    told: tuple[str, ...] = ()

    @property
    def is_as_desired(self) -> bool:
        """Whether the last transition said that all is well."""
        return self.state in AS_DESIRED

    def is_new(self, state: str, reason: str) -> bool:
        """Whether something that is not as desired is news: its state for the first time, or a hopeless reason."""
        return state not in self.told or (_is_hopeless(reason) and not any(map(_is_hopeless, self.told)))

    def tell(self, state: str, reason: str, since: datetime) -> "News":
        """The news once a state is announced."""
        if state in AS_DESIRED:
            return News(state, since)
        added = (state, reason) if _is_hopeless(reason) else (state,)
        return News(state, since, tuple(dict.fromkeys((*self.told, *added))))

    def restart(self) -> "News":
        """The news once a new version asks something else."""
        return replace(self, told=())


def is_module_news(state: str, reason: str) -> bool:
    """Whether a module that is not as desired is news by itself, and not only once it is stuck."""
    if state == ModuleState.WRONG_STATUS:
        return True
    return state in (ModuleState.MISSING, ModuleState.UPDATING, ModuleState.EXTRA) and reason not in _OWN_REASON


def _is_hopeless(reason: str) -> bool:
    known = known_reason(reason)
    return known is not None and known.is_hopeless
