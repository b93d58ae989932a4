"""What groups devices that fail alike: forty devices with one cause are one line."""

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
"""Reasons that gather many causes: the agent's words are what differs."""
_CAUSED_BY: Final = "caused by:"
_CALLED: Final = re.compile(r"^\(?error calling [^:]{0,200}: ", re.IGNORECASE)
_WORD: Final = re.compile(r"\w+(?:[.-]\w+)*")
_SPACES: Final = re.compile(r"\s+")
_QUOTED: Final = re.compile(r'(?:^|, )"([^"]*)"$')
_EXIT_CODE: Final = re.compile(r"exit code (-?\d{1,20})", re.ASCII)
_HEX: Final = re.compile(r"[0-9a-fA-F]{8,}")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is not as desired, without what is another on each device.

    Attributes:
        reason: Why.
        module: The module; empty where it is none's.
        image: The image that it should have; empty where that says nothing.
        exit_code: Its exit code; None where it says nothing.
        words: The agent's own words, without ids, hexadecimal numbers, times and numbers; empty but for the reasons
            that gather many causes.
    """

    reason: Reason
    module: str = ""
    image: str = ""
    exit_code: int | None = None
    words: str = ""

    def __str__(self) -> str:
        """The cause in one line; equal causes have equal lines."""
        parts = [self.module, self.image, "" if self.exit_code is None else f"exit code {self.exit_code}"]
        parts.append(f'"{self.words}"' if self.words else "")
        named = ", ".join(part for part in parts if part)
        return f"{self.reason}: {named}" if named else str(self.reason)

    @classmethod
    def parse(cls, line: str) -> Self | None:
        """The cause of its line; None where this release does not know the reason, or the line is none.

        A module whose name holds a comma and a space takes all up to the last of them for its name.
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
    """A cause, cut to what a row can hold."""
    return Cause(reason, clean(module, _NAME_LIMIT), clean(image or "", _IMAGE_LIMIT), exit_code, words)


def agents_words(step: Step | None, text: str, device_id: str) -> str:
    """The words of a failed step that stay the same from device to device: its innermost ones.

    Args:
        step: The step; most reasons say enough by themselves, and need no words.
        text: The description, masked: its secrets are out, and every place is where the step has it.
        device_id: The device, whose name is taken out.
    """
    if step is None or step.reason not in _IN_THE_AGENTS_WORDS:
        return ""
    # Behind the last cause, else behind the name of the call.
    innermost = _CALLED.sub("", collapse(text[step.start : step.end])).rpartition(_CAUSED_BY)[2].strip("() ")

    def plain(match: re.Match[str]) -> str:
        word = match[0]
        is_own = word == device_id or any(map(str.isdigit, word)) or _HEX.fullmatch(word) is not None
        return "#" if is_own else word

    return clean(_SPACES.sub(" ", _WORD.sub(plain, innermost.replace('"', ""))).strip(), WORDS_LIMIT)
