"""Groups devices that fail alike: forty devices with one cause are one line."""

import re
from dataclasses import dataclass
from typing import Final, Self

from status_core.descriptions import Step
from status_core.reading import clean
from status_core.reasons import Reason, known_reason
from status_core.secrets import collapse

WORDS_LIMIT: Final = 160
"""Characters of the agent's words that are kept."""
_NAME_LIMIT: Final = 128
_IMAGE_LIMIT: Final = 256

_IN_THE_AGENTS_WORDS: Final = (Reason.PLAN_FAILED, Reason.START_FAILED)
"""Reasons that cover many causes; the agent's words tell them apart."""
_CAUSED_BY: Final = "caused by:"
_CALLED: Final = re.compile(r"^\(?error calling [^:]{0,200}: ", re.IGNORECASE)
_WORD: Final = re.compile(r"\w+(?:[.-]\w+)*")
_SPACES: Final = re.compile(r"\s+")
_QUOTED: Final = re.compile(r'(?:^|, )"([^"]*)"$')
_EXIT_CODE: Final = re.compile(r"exit code (-?\d{1,20})", re.ASCII)
_HEX: Final = re.compile(r"[0-9a-fA-F]{8,}")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is not as desired, without what differs from device to device.

    Attributes:
        reason: The reason.
        module: The module; empty if the cause is not about a module.
        image: The module's desired image; empty if it does not matter.
        exit_code: The module's exit code; None if it does not matter.
        words: The agent's own words without ids, hexadecimal numbers, times and numbers. Set only for reasons that
            cover many causes.
    """

    reason: Reason
    module: str = ""
    image: str = ""
    exit_code: int | None = None
    words: str = ""

    def __str__(self) -> str:
        """Return the cause as one line. Equal causes have equal lines."""
        parts = [self.module, self.image, "" if self.exit_code is None else f"exit code {self.exit_code}"]
        parts.append(f'"{self.words}"' if self.words else "")
        named = ", ".join(part for part in parts if part)
        return f"{self.reason}: {named}" if named else str(self.reason)

    @classmethod
    def parse(cls, line: str) -> Self | None:
        """Parse the line of a cause. Returns None if this release does not know the reason.

        If a module's name contains a comma and a space, everything up to the last one is read as the name.
        """
        word, _, named = line.partition(": ")
        reason = known_reason(word)
        if reason is None:
            return None
        words = _QUOTED.search(named)
        parts = [part for part in named[: words.start() if words else None].split(", ") if part]
        exit_code = _EXIT_CODE.fullmatch(parts[-1]) if parts else None
        if exit_code:
            parts.pop()
        image = parts.pop() if len(parts) > 1 else ""
        return cls(reason, ", ".join(parts), image, int(exit_code[1]) if exit_code else None, words[1] if words else "")


def cause(
    reason: Reason, module: str = "", image: str | None = None, exit_code: int | None = None, words: str = ""
) -> Cause:
    """Create a cause whose parts fit into a row."""
    return Cause(reason, clean(module, _NAME_LIMIT), clean(image or "", _IMAGE_LIMIT), exit_code, words)


def agents_words(step: Step | None, text: str, device_id: str) -> str:
    """Return the innermost words of a failed step, without what differs from device to device.

    Args:
        step: The step. Most reasons are specific enough by themselves and need no words.
        text: The masked description, with every character at its original place.
        device_id: The device, whose name is removed.
    """
    if step is None or step.reason not in _IN_THE_AGENTS_WORDS:
        return ""
    # Keep what follows the last cause, else what follows the name of the call.
    innermost = _CALLED.sub("", collapse(text[step.start : step.end])).rpartition(_CAUSED_BY)[2].strip("() ")

    def plain(match: re.Match[str]) -> str:
        word = match[0]
        is_own = word == device_id or any(map(str.isdigit, word)) or _HEX.fullmatch(word) is not None
        return "#" if is_own else word

    return clean(_SPACES.sub(" ", _WORD.sub(plain, innermost.replace('"', ""))).strip(), WORDS_LIMIT)
