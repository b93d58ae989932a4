"""A history: what happens to a fleet and to the app, as data that can be printed, repeated and made smaller."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from .faults import Fault
from .fleet import Change
from .hub_list import Created, Gives, Removed


@dataclass(frozen=True, slots=True)
class Wait:
    """Time goes by."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Lose:
    """A notification is lost."""

    pick: int


@dataclass(frozen=True, slots=True)
class Restart:
    """A process ends between two invocations, and another one goes on."""

    process: int


@dataclass(frozen=True, slots=True)
class Jump:
    """The clock of a process is set to another time than that of the services.

    Attributes:
        seconds: By how much it is ahead of it.
    """

    process: int
    seconds: int


class Page(StrEnum):
    """What is wrong with a page of a query, be it one for the twins of some devices."""

    WHOLE = "whole"
    SHORT = "short"
    """It has one twin, and another page follows, be it an empty one."""
    EMPTY = "empty"
    """It has none, and another page follows."""
    REPEATED = "repeated"
    """It has a twin twice, and the next one has some of its twins again."""
    TORN = "torn"
    """It has some twins without their properties."""
    FOREIGN = "foreign"
    """Where some devices were asked for, it has all."""


@dataclass(frozen=True, slots=True)
class Run:
    """One invocation of a function.

    Attributes:
        process: The number of the process that it runs in.
        faults: What goes wrong with its calls.
        picks: Of a delivery, the notifications by number: those that wait, in any order, or one twice.
        keeps: Of a delivery, whether its notifications come again.
        gives_up: Of a delivery, whether the host's last attempt is among its attempts.
        lag: How many twins queries are behind with each device.
        pages: What the first pages are like.
    """

    what: Literal["delivery", "flag_stuck", "resync"]
    process: int = 0
    faults: tuple[Fault, ...] = ()
    picks: tuple[int, ...] = ()
    keeps: bool = False
    gives_up: bool = False
    lag: tuple[int, ...] = ()
    pages: tuple[Page, ...] = ()


@dataclass(frozen=True, slots=True)
class Both:
    """Two invocations at the same time, in two processes."""

    first: Run
    second: Run


type Step = Change | Wait | Lose | Restart | Jump | Run | Both | Created | Removed | Gives


@dataclass(frozen=True, slots=True)
class History:
    """What happens, and the limits of the app.

    Attributes:
        seed: Of the order in which calls that are under way at the same time come to their service.
        transaction_limit: Rows of a transaction: few of them make a change of many parts of a small device.
        enough: Devices for which a query is made.
        whole_every: Hours from one whole pass of resync to the next.
        compare_every: Hours from one comparison of outlines to the next.
        has_list: Whether the hub can be asked for its list of deployments.
        older: Of each of the first deliveries, whether a process of the release before takes it. Later ones are this
            release's: the last process of that one has ended.
    """

    steps: tuple[Step, ...]
    seed: int = 0
    devices: int = 3
    history_limit: int = 200
    transaction_limit: int = 100
    twins_per_run: int = 10_000
    page_size: int = 100
    pages_kept: int = 5
    enough: int = 1
    whole_every: int = 0
    compare_every: int = 0
    has_list: bool = False
    older: tuple[bool, ...] = ()
