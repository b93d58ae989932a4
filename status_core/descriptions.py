"""Parses the agent's description of a failed plan: its steps, their modules, and the cause of each.

The agent joins the failures of one run: `One or more errors occurred. (...) (...)` (Core/Agent.cs, and .NET's
AggregateException). A step is `Error calling <operation> module <name>: <edged's words>`. Docker's words follow
`caused by:` if edged is older than 1.3.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from status_core.reasons import Reason
from status_core.step_words import Operation, operation, step_reason

DESCRIPTION_LIMIT: Final = 16 * 1024
"""Characters of a description that are read; the message says if a longer one is cut."""

_AGGREGATE: Final = "one or more errors occurred."
_MARK: Final = re.compile(r"[()]|one or more errors occurred\. ?\(|error calling ", re.IGNORECASE)
"""The start of a step, and the brackets of an aggregate."""
_CALLED_FOR: Final = re.compile(r"""error calling [a-z ]{1,30}(?:module|identity for) ["']?([^\s"']+)""", re.IGNORECASE)
_NAMED: Final = re.compile(r"""\bmodule:? ["']?([^\s"']+)""", re.IGNORECASE)
_URL: Final = re.compile(r"""https?://[^\s"']+""")
_IN_ITS_PLACE: Final = re.compile(
    r"""\b((?:module|image|endpoint|manifest for|denied for|identity for):? ["'/\\]{0,9}|(?:image|tag)=|container: )"""
    r"""(?!(?:is|was|does|did|has|with|cannot|could|identity could)\s)(?:[^\s"',:]|:(?=[^\s"',]))+"""
)
"""The name after "module" or "image", up to a colon, unless a sentence continues there."""
_WORD: Final = re.compile(r"\w+(?:[.-]\w+)*")
_OF_THE_MANIFEST: Final = (
    "configuration format is invalid",
    "empty configuration for the edge agent",
    "desired properties schema version",
)
"""The agent's comments on the manifest. A 500 can contain one next to another cause; it is not a failed step."""

_COOLED_OFF: Final = (Operation.PULL, Operation.CREATE, Operation.UPDATE)


@dataclass(frozen=True, slots=True)
class Step:
    """One step that failed.

    Attributes:
        reason: Why it failed.
        is_cooled_off: Whether the agent doubles its wait after each retry.
        module: The module that the text names, in the twin's spelling if the twin has it; None if it names none.
        is_of_plan: Whether it is a step of a plan, and so about the version whose plan was last tried.
        start: Start of its text in the description.
        end: End of its text.
    """

    reason: Reason
    is_cooled_off: bool
    module: str | None
    is_of_plan: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """The parsed steps of a description. There is at least one: a text without steps counts as a step.

    Attributes:
        steps: In the order of the text.
        leading: The step of the highest rank, which gives the device its reason.
        modules: For each named module, its step of the highest rank.
        unnamed: A step that names no module. It is about every outstanding module.
    """

    steps: tuple[Step, ...]
    leading: Step
    modules: Mapping[str, Step]
    unnamed: Step | None

    @property
    def reason(self) -> Reason:
        """The device's reason."""
        return self.leading.reason

    @property
    def names_a_step(self) -> bool:
        """Whether it contains a step of a plan."""
        return any(step.is_of_plan for step in self.steps)


def explain(
    description: str, *, image_outstanding: bool, modules: Iterable[str] = (), images: Iterable[str] = ()
) -> Explanation:
    """Parse the description of a code 500.

    Args:
        description: `lastDesiredStatus.description`, at most `DESCRIPTION_LIMIT` characters.
        image_outstanding: A desired image is not on the device.
        modules: Names of the twin's modules; system modules under their `$` names.
        images: Image references of the twin.
    """
    names = _Names(modules, images)
    is_aggregate = _AGGREGATE in description.lower()
    steps = []
    for start, end in _spans(description):
        text = description[start:end]
        words = names.remove_from(text.lower())
        if words.strip("() ") in ("", _AGGREGATE) or any(phrase in words for phrase in _OF_THE_MANIFEST):
            continue
        doing = operation(words)
        reason = step_reason(words, doing, image_outstanding=image_outstanding)
        is_of_plan = doing is not Operation.OTHER or (
            is_aggregate and reason not in (Reason.RUNTIME_UNREACHABLE, Reason.STATUS_UNREADABLE)
        )
        is_cooled_off = doing in _COOLED_OFF or reason is Reason.PULL_TIMED_OUT
        steps.append(Step(reason, is_cooled_off, names.named_in(text), is_of_plan, start, end))
    if not steps:
        steps = [Step(Reason.PLAN_FAILED, False, None, False, 0, len(description))]
    by_rank = sorted(steps, key=lambda step: (step.reason.rank, step.module or ""))
    named = {step.module: step for step in reversed(by_rank) if step.module is not None}
    unnamed = next((step for step in by_rank if step.module is None), None)
    return Explanation(tuple(steps), by_rank[0], named, unnamed)


def _spans(description: str) -> Iterator[tuple[int, int]]:
    """Yield the span of each step: each bracketed failure, and each further failed call."""
    starts = list(_starts(description)) or [0]
    yield from pairwise([*starts, len(description)])


def _starts(description: str) -> Iterator[int]:
    """Yield where a bracket with a step opens, and where a further call in one starts.

    A bracket holds a step if it follows the words of an aggregate, or another such bracket. A bracket in a step's own
    words holds none, and a nested aggregate holds further steps.
    """
    depth, aggregates, closed_at, closed_depth = 0, set[int](), -1, -1
    opened_at: int | None = None
    for match in _MARK.finditer(description):
        mark, at = match[0], match.end() - 1
        if mark == ")":
            depth = max(0, depth - 1)
            aggregates.discard(depth + 1)
            closed_at, closed_depth = at, depth
        elif mark[-1] == "(":
            is_aggregate = mark != "("
            is_after_step = depth in aggregates and closed_depth == depth and at - closed_at <= len(") ")
            if is_aggregate:
                aggregates.add(depth)
            if is_aggregate or is_after_step:
                yield at
                opened_at = at
            depth += 1
        elif match.start() - 1 != opened_at:
            yield match.start()


class _Names:
    """The names of a twin's modules and images, in the spellings that a text may use."""

    def __init__(self, modules: Iterable[str], images: Iterable[str]) -> None:
        names = {name.removeprefix("$"): name for name in modules}  # only the system modules begin with `$`
        self._exact = names
        self._folded: dict[str, list[str]] = {}
        for called, name in names.items():
            self._folded.setdefault(called.lower(), []).append(name)
        # An ordinary lower-case word is removed only where a name is expected: the agent's sentences may contain it
        # too.
        self._odd = {called.lower() for called in names if not (called.isalpha() and called.islower())}
        references = {image.strip().lower() for image in images}
        references |= {image.rpartition(":")[0] for image in references}
        # A text names the parent in the place of $upstream.
        references |= {image.partition("/")[2] for image in references if image.startswith("$upstream")}
        named = (image for image in references if "/" in image or ":" in image)
        self._images = sorted(named, key=lambda image: (-len(image), image))

    def remove_from(self, words: str) -> str:
        """Remove the names of modules and images, and addresses, from a text in lower case."""
        for image in self._images:
            words = words.replace(image, "")
        words = _IN_ITS_PLACE.sub(r"\1", _URL.sub("", words))
        return _WORD.sub(lambda match: "" if match[0] in self._odd else match[0], words) if self._odd else words

    def named_in(self, text: str) -> str | None:
        """Return the module that a step names: by exact name, else ignoring case if that is unique."""
        called = _CALLED_FOR.search(text)
        match = called or _NAMED.search(text)
        if match is None:
            return None
        bare = match[1].strip("'\".,:;()")
        for candidate in (match[1], bare, bare.partition(":")[0]):
            if candidate in self._exact:
                return self._exact[candidate]
        alike = self._folded.get(bare.lower(), [])
        if len(alike) == 1:
            return alike[0]
        return bare if called else None
