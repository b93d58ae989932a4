"""Which devices are asked for, by the words of a request: each is checked, and what contradicts another is said."""

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
"""What the list of devices is asked by."""
LONGEST: Final = 1024
"""Characters of a word."""
LONGEST_COHORT: Final = 256
"""Characters of a cohort: more than any that a device is put into."""

_CAUSE: Final = re.compile(r"[0-9a-f]{16}")
_REASONS: Final[Mapping[State, tuple[Reason, ...]]] = {
    State.NO_DEPLOYMENT: (Reason.NOTHING_DESIRED,),
    State.INVALID: (Reason.CONFIG_REJECTED, Reason.SCHEMA_VERSION_REJECTED),
    State.AGENT_UNAVAILABLE: (Reason.AGENT_STOPPED, Reason.AGENT_UPDATING, Reason.AGENT_NOT_UPDATED),
    State.EMPTY: (Reason.EMPTY_REPORTED,),
    State.SUCCESSFUL: (Reason.AS_DESIRED,),
    State.UNCLASSIFIED: (Reason.UNKNOWN_CODE, Reason.NOT_EDGE_AGENT),
}
"""Of a state that has few reasons, these."""
_OF_ONE_STATE: Final = {reason: state for state, reasons in _REASONS.items() for reason in reasons}
_PENDING: Final = (Flag.AGENT_UNAVAILABLE, Flag.VERSION_REGRESSED)
"""Flags of a device that has not taken the version."""
_MANY: Final = (Reason.AGENT_STOPPED, Reason.AGENT_UPDATING, Reason.AGENT_NOT_UPDATED, Reason.EMPTY_REPORTED)
"""Reasons that pending has too."""


class FilterError(StatusAppError):
    """What is asked for is no word that there is, or contradicts itself. The text says what there is."""


@dataclass(frozen=True, slots=True)
class Devices:
    """Which devices are asked for: those to which all of it applies.

    Attributes:
        state: Those in this state.
        deployment: Those on which it is credited.
        stuck: Those of which something is stuck; the longest first.
        reason: Those whose state has this reason.
        cause: Those that are counted under the cause of this id.
        flag: Those beside whose state this flag stands.
        image: Those of which a module reports this image.
        digest: Those of which a module reports an image of this digest; beside `image`, the same module.
        agent_version: Those whose edgeAgent is of this version.
        prefix: Those whose id begins so.
        cohort: Those in this cohort, such as `ring=canary`.
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
    def read(cls, words: Mapping[str, str]) -> "Devices":
        """What is asked for by words.

        Args:
            words: By the names of `PARAMETERS`.

        Raises:
            FilterError: One is wrong, or two contradict each other.
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
        """Check that something can be all of it.

        Raises:
            FilterError: Nothing can.
        """
        if self.state is None:
            return
        if self.reason is not None:
            known = _REASONS.get(self.state)
            if known is not None and self.reason not in known:
                raise FilterError(f"state={self.state} and reason={self.reason} contradict: it has {', '.join(known)}")
            of = _OF_ONE_STATE.get(self.reason)
            if of not in (None, self.state) and self.reason not in _MANY:
                raise FilterError(f"reason={self.reason} and state={self.state} contradict: only {of} has that reason")
        if self.flag in _PENDING and self.state is not State.PENDING:
            raise FilterError(f"flag={self.flag} and state={self.state} contradict: only pending has that flag")

    @property
    def needs_profiles(self) -> bool:
        """Whether something is asked for that no row of the index leads to."""
        asked = (self.reason, self.flag, self.image, self.digest, self.agent_version, self.prefix, self.cohort)
        return any(value is not None for value in asked)

    def matches(self, device_id: str, profile: Profile) -> bool:
        """Whether a device is asked for. Of one with more images than its profile says, these are not looked at."""
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
    """The word `cohort`: the name of a tag, and what it holds.

    Raises:
        FilterError: It is none.
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
