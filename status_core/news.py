"""What is announced of a device and its modules: each state once, and success only once it has lasted."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from status_core.reasons import Reason, known_reason
from status_core.states import ModuleState, State

AS_DESIRED: Final = (ModuleState.SETTLED, State.SUCCESSFUL, State.NO_DEPLOYMENT)
_OWN_REASON: Final = (Reason.SETTLING, Reason.SKIPPED, Reason.NOT_DESIRED, Reason.AGENT_UPDATING)
"""Reasons from the comparison or the app, not from a failed step that the agent named."""


@dataclass(frozen=True, slots=True)
class News:
    """What was announced of a module, or of the device.

    Attributes:
        state: The state of the last transition.
        since: When that state began.
        announced: States announced since the last success or new version, and reasons that only a person can fix.
    """

    state: str
    since: datetime
    announced: tuple[str, ...] = ()

    @property
    def is_as_desired(self) -> bool:
        """Whether the last transition announced success."""
        return self.state in AS_DESIRED

    def is_new(self, state: str, reason: str) -> bool:
        """Whether a failure is news: its state for the first time, or its first hopeless reason."""
        return state not in self.announced or (_is_hopeless(reason) and not any(map(_is_hopeless, self.announced)))

    def announce(self, state: str, reason: str, since: datetime) -> "News":
        """Return the news after announcing a state."""
        if state in AS_DESIRED:
            return News(state, since)
        added = (state, reason) if _is_hopeless(reason) else (state,)
        return News(state, since, tuple(dict.fromkeys((*self.announced, *added))))

    def restart(self) -> "News":
        """Return the news after a new version has changed what is desired."""
        return replace(self, announced=())


def is_module_news(state: str, reason: str) -> bool:
    """Whether a module's failure is news by itself, before it is stuck."""
    if state == ModuleState.WRONG_STATUS:
        return True
    return state in (ModuleState.MISSING, ModuleState.UPDATING, ModuleState.EXTRA) and reason not in _OWN_REASON


def _is_hopeless(reason: str) -> bool:
    known = known_reason(reason)
    return known is not None and known.is_hopeless
