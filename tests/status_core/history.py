"""What holds of the transitions of any device, whatever its twins and whenever somebody looks."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from status_core import DeviceRecord, Kind, Transition


class History:
    """The transitions of one device so far."""

    def __init__(self) -> None:
        self.sequence = 0
        self.last_at = datetime.min.replace(tzinfo=UTC)
        self.announced: dict[str, str] = {}
        self.stuck: set[str] = set()

    def follow(self, record: DeviceRecord, transitions: Sequence[Transition]) -> None:
        """Add transitions, and hold what is kept after them to what they say.

        Sequences have no gap and times never run back; a state follows the one that was announced last; between two
        `stuck` of one thing is a `recovered`, and between two `recovered` a `stuck`.
        """
        for transition in transitions:
            change = transition.change
            self.sequence += 1
            assert transition.sequence == self.sequence
            assert transition.at >= self.last_at
            assert transition.duration >= 0
            assert change.since <= transition.at
            assert change.is_initial is (self.sequence == 1)
            self.last_at = transition.at
            if change.kind is Kind.STUCK:
                assert change.module not in self.stuck
                assert change.reason != "as_desired"
                self.stuck.add(change.module)
            elif change.kind is Kind.RECOVERED:
                self.stuck.remove(change.module)
            else:
                # Only the first of a module may follow what no transition announced: what it was at the first look.
                assert change.from_state == self.announced.get(change.module, change.from_state)
                self.announced[change.module] = change.to_state
                if not change.to_state:  # it was removed, and begins as settled where it comes again
                    self.announced[change.module] = "settled"
        assert (record.sequence, record.at >= self.last_at) == (self.sequence, True)
        kept = {"": record.news.state} | {name: module.news.state for name, module in record.modules.items()}
        gone = self.announced.keys() - kept.keys()
        assert {self.announced.pop(name) for name in gone} <= {"settled"}  # else the removal was news
        assert self.announced.items() <= kept.items()
        flags = {"": record.clock} | {name: module.clock for name, module in record.modules.items()}
        assert {name for name, clock in flags.items() if clock.is_stuck} == self.stuck


def facts(transitions: list[Transition]) -> list[Transition]:
    """Transitions without what a message and evidence quote of the moment in which somebody looked."""
    return [replace(item, change=replace(item.change, message="", evidence=())) for item in transitions]
