"""`python -m tests.fuzz --inputs 1000000 --seed 1`: hostile input for each target in turn, and a summary."""

import argparse
import sys
import time
from collections import Counter

from .run import run

SHOWN = 20_000


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first input; each further one has the next")
    arguments = parser.parse_args()
    began, done = time.monotonic(), Counter[str]()
    for number in range(arguments.seed, arguments.seed + arguments.inputs):
        try:
            done[run(number)] += 1
        except BaseException:
            print(f"input {number} fails: --inputs 1 --seed {number} finds it again", flush=True)
            raise
        if done.total() % SHOWN == 0 or done.total() == arguments.inputs:
            print(f"{done.total()} inputs, {time.monotonic() - began:.0f} s: {dict(done)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
