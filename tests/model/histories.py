"""Histories at random."""

from itertools import chain

from hypothesis import strategies as st

from .faults import Fault, Trouble
from .fleet import CODES, LAYERS, RUNS, Act, Change
from .hub_list import CONTENTS, NAMES, Created, Given, Gives, Removed
from .steps import Both, History, Jump, Lose, Page, Restart, Run, Step, Wait

_device = st.integers(0, 2)
_process = st.integers(0, 1)
_asked = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 2)), max_size=3, unique_by=lambda pair: pair[0]).map(
    lambda pairs: tuple(sorted(pairs))
)
_runs = st.tuples(*[st.sampled_from([0, 0, 0, *range(1, len(RUNS))])] * 3)
_codes = st.sampled_from([0, 0, 0, 1, 1, *range(2, len(CODES))])
_layers = st.integers(0, len(LAYERS) - 1)

deploy = st.builds(Change, st.just(Act.DEPLOY), _device, asked=_asked, layers=_layers)
report = st.builds(
    Change,
    st.just(Act.REPORT),
    _device,
    taken=st.sampled_from([True, True, True, False]),
    code=_codes,
    runs=_runs,
    boots=st.sampled_from([False, False, False, True]),
)
credit = st.builds(Change, st.just(Act.CREDIT), _device, layers=_layers)
come_or_go = st.builds(Change, st.sampled_from([Act.CREATE, Act.CREATE, Act.DELETE, Act.EMPTY]), _device)
changes = st.one_of(deploy, report, report, report, credit, come_or_go)

_fault = st.builds(
    Fault,
    st.one_of(st.integers(0, 12), st.integers(0, 40)),
    st.sampled_from(Trouble),
    _device,
    changes,
    pause=st.sampled_from([2, 90, 16 * 60, 2 * 3600, 20 * 3600]),
    stops_ticks=st.booleans(),
)
faults = st.lists(_fault, max_size=3).map(tuple)
_late = st.builds(Fault, st.integers(5, 12), st.sampled_from([Trouble.KILLED, Trouble.KILLED_AFTER]))
_between = st.builds(
    Fault, st.integers(8, 30), st.sampled_from([Trouble.RIVAL, Trouble.PAUSED]), _device, changes, pause=st.just(2)
)
_lag = st.lists(st.integers(0, 3), max_size=3).map(tuple)
_pages = st.lists(st.sampled_from(Page), max_size=4).map(tuple)
deliveries = st.builds(
    Run,
    st.just("delivery"),
    _process,
    faults,
    picks=st.lists(st.integers(0, 7), min_size=1, max_size=4).map(tuple),
    keeps=st.booleans(),
    gives_up=st.booleans(),
    lag=_lag,
    pages=_pages,
)
timers = st.builds(
    Run,
    st.sampled_from(["flag_stuck", "flag_stuck", "resync"]),
    _process,
    faults,
    lag=_lag,
    pages=_pages,
)
runs = st.one_of(deliveries, deliveries, timers)
waits = st.builds(Wait, st.sampled_from([1, 20, 45, 90, 600, 1000, 1900]))
steps: st.SearchStrategy[Step] = st.one_of(
    changes,
    changes,
    runs,
    runs,
    waits,
    st.builds(Lose, st.integers(0, 7)),
    st.builds(Restart, _process),
    st.builds(Jump, _process, st.sampled_from([-16 * 60, -3 * 60, -40, 0, 0, 40, 3 * 60, 16 * 60])),
    st.builds(Both, runs, runs),
)


_deployment = st.integers(0, len(NAMES) - 1)
of_the_list: st.SearchStrategy[Step] = st.one_of(
    *[st.builds(Created, _deployment, st.integers(0, len(CONTENTS) - 1), st.integers(1, 3))] * 3,
    st.builds(Removed, _deployment),
    st.builds(Gives, st.sampled_from(Given)),
    st.builds(Run, st.just("flag_stuck"), _process),
)
listed_steps = st.one_of(*[steps] * 2, of_the_list)

left_behind = st.tuples(
    st.builds(Run, st.just("delivery"), _process, st.tuples(_late), picks=st.tuples(st.integers(0, 7))),
    st.just(Wait(1000)),
    st.builds(Run, st.just("flag_stuck"), _process, st.tuples(_between)),
)
"""What a killed writer has left is finished once it cannot be alive any more, while the device changes."""


def histories(
    devices: int, length: int, *, has_list: bool = False, has_older: bool = False
) -> st.SearchStrategy[History]:
    """Histories of a fleet: each device is in the hub from the beginning, with a deployment.

    In half of them the app looks at each change before the next one comes: all times and news are known then.

    Args:
        devices: How many there are.
        length: The most steps that follow.
        has_list: Whether the hub can be asked for its list of deployments, and that changes.
        has_older: Whether a process of the release before takes some of the first deliveries.
    """
    born = tuple(
        step
        for number in range(devices)
        for step in (
            Change(Act.CREATE, number),
            Change(Act.DEPLOY, number, asked=((0, 1), (1, 1)), layers=3),
            Change(Act.REPORT, number),
        )
    )

    def happen(later: list[tuple[Step, ...]], is_watched: bool) -> tuple[Step, ...]:
        every = (*born, *chain.from_iterable(later))
        return tuple(chain.from_iterable(map(watched, every))) if is_watched else every

    alone = (listed_steps if has_list else steps).map(_alone)
    return st.builds(
        History,
        st.builds(happen, st.lists(st.one_of(*[alone] * 9, left_behind), max_size=length), st.booleans()),
        seed=st.integers(0, 2**16),
        devices=st.just(devices),
        history_limit=st.sampled_from([200, 200, 4, 1]),
        transaction_limit=st.sampled_from([100, 8]),
        twins_per_run=st.sampled_from([10_000, 1]),
        page_size=st.sampled_from([100, 1]),
        pages_kept=st.sampled_from([5, 1, 2]),
        enough=st.sampled_from([1, 1, 2, 8]),
        whole_every=st.sampled_from([0, 1, 24, 168]),
        compare_every=st.sampled_from([0, 24]),
        has_list=st.just(has_list),
        older=st.lists(st.booleans(), min_size=1, max_size=12).map(tuple) if has_older else st.just(()),
    )


def _alone(step: Step) -> tuple[Step, ...]:
    return (step,)


def watched(step: Step) -> tuple[Step, ...]:
    """A step, and where it is a change, its delivery."""
    return (step, Run("delivery", picks=(-1,))) if isinstance(step, Change) else (step,)
