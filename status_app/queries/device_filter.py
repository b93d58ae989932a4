"""The filter of a list of devices, from the parameters of a request. Wrong or contradicting ones are refused."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from status_app.errors import StatusAppError
from status_app.fleet_index.profile import Profile
from status_core import NAME_LIMIT, UNVERIFIED, Flag, Reason, State

PARAMETERS: Final = (
    "state",
    "deployment",
    "stuck",
    "reason",
    "cause",
    "flag",
    "image",
    "digest",
    "agentVersion",
    "prefix",
    "cohort",
)
"""The filters of the list of devices."""
LONGEST: Final = 1024
"""Characters of a value."""
LONGEST_COHORT: Final = 256
"""Characters of a cohort: more than any cohort of a device has."""

_CAUSE: Final = re.compile(r"[0-9a-f]{16}")
_REASONS: Final[Mapping[State, tuple[Reason, ...]]] = {
    State.NO_DEPLOYMENT: (Reason.NOTHING_DESIRED,),
    State.INVALID: (Reason.CONFIG_REJECTED, Reason.SCHEMA_VERSION_REJECTED),
    State.AGENT_UNAVAILABLE: (Reason.AGENT_STOPPED, Reason.AGENT_UPDATING, Reason.AGENT_NOT_UPDATED),
    State.EMPTY: (Reason.EMPTY_REPORTED,),
    State.SUCCESSFUL: (Reason.AS_DESIRED,),
    State.UNCLASSIFIED: (Reason.UNKNOWN_CODE, Reason.NOT_EDGE_AGENT),
}
"""The reasons of states that have few."""
_STATE_OF: Final = {reason: state for state, reasons in _REASONS.items() for reason in reasons}
_PENDING: Final = (Flag.AGENT_UNAVAILABLE, Flag.VERSION_REGRESSED)
"""Flags of a device that has not taken the version."""
_ALSO_PENDING: Final = (Reason.AGENT_STOPPED, Reason.AGENT_UPDATING, Reason.AGENT_NOT_UPDATED, Reason.EMPTY_REPORTED)
"""Reasons that also occur in `pending`."""


class FilterError(StatusAppError):
    """A filter has an unknown value, or filters contradict each other. The message lists what is valid."""


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """Which devices to list: those that match all fields.

    Attributes:
        state: Devices in this state.
        deployment: Devices with this deployment.
        stuck: Devices with something stuck, longest first.
        reason: Devices in a state with this reason.
        cause: Devices under the cause with this id.
        flag: Devices with this flag.
        image: Devices with a module that reports this image.
        digest: Devices with a module that reports an image of this digest; with `image`, the same module.
        agent_version: Devices with this version of edgeAgent.
        prefix: Devices with an id that begins like this.
        cohort: Devices in this cohort, such as `ring=canary`.
    """

    state: State | None = None
    deployment: str | None = None
    stuck: bool = False
    reason: Reason | None = None
    cause: str | None = None
    flag: Flag | None = None
    image: str | None = None
    digest: str | None = None
    agent_version: str | None = None
    prefix: str | None = None
    cohort: str | None = None

    @classmethod
    def read(cls, words: Mapping[str, str]) -> "DeviceFilter":
        """Read a filter from query parameters.

        Args:
            words: Values by the names of `PARAMETERS`.

        Raises:
            FilterError: A value is wrong, or two contradict each other.
        """
        for name, value in words.items():
            longest = NAME_LIMIT if name == "prefix" else LONGEST
            if len(value) > longest:
                raise FilterError(f"{name} takes at most {longest} characters")
        if words.get("stuck", "true") != "true":
            raise FilterError("stuck takes true, or is left out")
        if not _CAUSE.fullmatch(words.get("cause", "0" * 16)):
            raise FilterError("cause takes the causeId of a cause, 16 hexadecimal digits")
        asked = cls(
            state=_word(words, "state", State),
            deployment=words.get("deployment"),
            stuck="stuck" in words,
            reason=_word(words, "reason", Reason),
            cause=words.get("cause"),
            flag=_word(words, "flag", Flag),
            image=words.get("image"),
            digest=words.get("digest"),
            agent_version=words.get("agentVersion"),
            prefix=words.get("prefix"),
            cohort=read_cohort(words),
        )
        asked.check()
        return asked

    def check(self) -> None:
        """Check that a device can match all fields.

        Raises:
            FilterError: None can.
        """
        if self.state is None:
            return
        if self.reason is not None:
            known = _REASONS.get(self.state)
            if known is not None and self.reason not in known:
                raise FilterError(f"state={self.state} and reason={self.reason} contradict: it has {', '.join(known)}")
            only = _STATE_OF.get(self.reason)
            if only not in (None, self.state) and self.reason not in _ALSO_PENDING:
                raise FilterError(
                    f"reason={self.reason} and state={self.state} contradict: only {only} has that reason"
                )
        if self.flag in _PENDING and self.state is not State.PENDING:
            raise FilterError(f"flag={self.flag} and state={self.state} contradict: only pending has that flag")

    @property
    def needs_profiles(self) -> bool:
        """Whether some field needs the profiles because no row of the index leads to it."""
        asked = (self.reason, self.flag, self.image, self.digest, self.agent_version, self.prefix, self.cohort)
        return any(value is not None for value in asked)

    def matches(self, device_id: str, profile: Profile) -> bool:
        """Whether a device matches. If it has more images than its profile holds, they are not checked."""
        return (
            self.state in (None, profile.state)
            and (self.deployment is None or self.deployment in profile.deployments)
            and (not self.stuck or profile.is_stuck)
            and self.reason in (None, profile.reason.removesuffix(UNVERIFIED))
            and self.cause in (None, profile.cause)
            and (self.flag is None or self.flag in profile.flags)
            and self.agent_version in (None, profile.agent_version)
            and (self.prefix is None or device_id.startswith(self.prefix))
            and (self.cohort is None or self.cohort in profile.cohorts)
            and self._has_image(profile)
        )

    def _has_image(self, profile: Profile) -> bool:
        if (self.image is None and self.digest is None) or profile.images is None:
            return True
        return any(
            self.image in (None, image) and self.digest in (None, digest) for image, digest in profile.images.values()
        )


def read_cohort(words: Mapping[str, str]) -> str | None:
    """Read the parameter `cohort`: a tag and its value.

    Raises:
        FilterError: It is not a cohort.
    """
    cohort = words.get("cohort")
    if cohort is not None and not all(cohort.partition("=")):
        raise FilterError("cohort takes the name of a tag and its value, such as ring=canary")
    if cohort is not None and len(cohort) > LONGEST_COHORT:
        raise FilterError(f"cohort takes at most {LONGEST_COHORT} characters")
    return cohort


def _word[Word: StrEnum](words: Mapping[str, str], name: str, known: type[Word]) -> Word | None:
    value = words.get(name)
    if value is None:
        return None
    try:
        return known(value)
    except ValueError:
        raise FilterError(f"{name} takes one of {', '.join(known)}") from None
