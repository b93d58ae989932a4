"""`python -m tests.model --histories 100000 --seed 1`: very many histories, with progress and a summary."""

import argparse
import gc
import sys
import time

from hypothesis import HealthCheck, Phase, given, seed, settings

from .check import check
from .histories import histories
from .steps import History

CHUNK = 500
"""Histories of one seed: a failure is found again by its chunk alone."""
LENGTH = 14


def prove(number: int, count: int) -> None:
    """Check some histories of a seed: of one to three devices, every second time with the hub's own list.

    Every fifth time a process of the release before runs beside this one at first.
    A failure is made as small as it gets, and raised with a note that holds it.
    """

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(histories(1 + number % 3, LENGTH, has_list=number // 3 % 2 == 1, has_older=number % 5 == 0))
    def run(history: History) -> None:
        check(history)

    run()


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--histories", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first chunk; each further one has the next")
    arguments = parser.parse_args()
    gc.freeze()
    gc.set_threshold(100_000)  # a history leaves few circles, and is looked through for them a hundred times
    began, done = time.monotonic(), 0
    number = arguments.seed
    while done < arguments.histories:
        count = min(CHUNK, arguments.histories - done)
        try:
            prove(number, count)
        except BaseException:
            print(f"a history of seed {number} fails: --histories {count} --seed {number} finds it again", flush=True)
            raise
        done += count
        print(f"{done} histories, {time.monotonic() - began:.0f} s, seed {number}: all promises kept", flush=True)
        number += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
