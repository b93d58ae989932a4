"""`python -m tests.flood --notifications 100000 --devices 10000`: a long flood, with its lines and a summary.

With `--processes 4` four processes handle it side by side, in virtual time, over tables in memory; then once more by
reads alone.
"""

import argparse
import asyncio
import logging
import sys
import time
from collections import Counter

from local.azurite import azurite_tables

from .backlog import backlog
from .drain import Seen, drain
from .processes import QUERIES, READS, Flooded, flooded, most
from .promises import broken

EVERY = 50
SHOWN = 10


def summary(seen: Seen, seconds: float) -> None:
    """Print what was seen."""
    events = sum(batch.events for batch in seen.batches)
    quarter = seen.batches[len(seen.batches) // 4].peak_kb // 1024
    busiest = max(Counter(int(at) for at in seen.reads).values())
    held = max((count for counts in seen.held for count in counts.values()), default=0)
    print(f"{events} notifications ({seen.floods_on} came meanwhile), {len(seen.batches)} batches, {seconds:.0f} s")
    print(f"twin reads: {len(seen.reads)}, {busiest} in the busiest second of {seen.limit}")
    print(f"events held at once: {held}, of {len(seen.held)} looks")
    print(f"peak of the process, stand-ins included: {quarter} MB at a quarter, {seen.batches[-1].peak_kb // 1024} MB")


def side_by_side(seen: Flooded, name: str) -> bool:
    """Print what was seen of several processes; whether all is well."""
    reads, queries = most(seen.reads, 1), most(seen.queries, 60)
    print(
        f"{name}: {seen.notifications} notifications in {seen.took:.0f} s, which took {seen.cpu:.0f} s of a processor"
    )
    print(f"  {len(seen.reads)} reads of a twin, {reads} in the busiest second, where S1 allows {READS}")
    print(f"  {len(seen.queries)} queries, {queries} in the busiest minute, where S1 allows {QUERIES}")
    print(f"  {len(seen.wrong)} devices differ from their twins", *seen.wrong[:SHOWN], flush=True)
    return reads <= READS and queries <= QUERIES and not seen.wrong


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.flood", description=__doc__)
    parser.add_argument("--notifications", type=int, default=100_000)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, help="so many side by side, in virtual time")
    arguments = parser.parse_args()
    waiting = backlog(arguments.notifications, arguments.devices, arguments.seed)
    if arguments.processes is not None:
        logging.disable(logging.CRITICAL)
        both = flooded(waiting, arguments.processes), flooded(waiting, arguments.processes, queries=False)
        return int(not all([side_by_side(both[0], "reads and queries"), side_by_side(both[1], "reads alone")]))
    began, lines = time.monotonic(), 0

    def show(line: str) -> None:
        nonlocal lines
        lines += 1
        if lines % EVERY == 0:
            print(f"{time.monotonic() - began:.0f} s: {line.partition(' {"')[0]}", flush=True)

    with azurite_tables() as tables:
        seen = asyncio.run(drain(waiting, tables, show))
    summary(seen, time.monotonic() - began)
    found = broken(seen)
    for promise, texts in found.items():
        print(f"broken: {promise}, {len(texts)} times", *texts[:SHOWN], sep="\n  ")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
