"""`python -m benchmarks [--short] [--part PART] [--devices N] [--rounds N]`: what one run measures, in one table."""

import argparse
import asyncio
import logging
import os
import platform
from collections.abc import Callable, Mapping
from typing import Final

from benchmarks.busy_batch import busy_batch
from benchmarks.cold_start import cold_start
from benchmarks.core import core
from benchmarks.end_to_end import end_to_end
from benchmarks.fleets import fleets
from benchmarks.memory import memory
from benchmarks.resync import resync
from benchmarks.table import Row, lines

_PARTS: Final[Mapping[str, Callable[[argparse.Namespace], list[Row]]]] = {
    "batch": lambda _options: busy_batch(),
    "core": lambda options: core(short=options.short),
    "end-to-end": lambda options: asyncio.run(end_to_end(options.devices, options.rounds, short=options.short)),
    "fleets": lambda options: asyncio.run(fleets(short=options.short)),
    "memory": lambda _options: asyncio.run(memory()),
    "resync": lambda options: resync(short=options.short),
    "start": lambda options: cold_start(short=options.short),
}


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few devices and one round: its times say little")
    parser.add_argument("--part", choices=_PARTS, help="only this one")
    parser.add_argument("--devices", type=int, default=200, help="devices of the rollout (default: 200)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of it, of which the median counts (default: 5)")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, Azurite in memory\n", flush=True)
    parts = [options.part] if options.part else _PARTS
    print(*lines(row for part in parts for row in _PARTS[part](options)), sep="\n")


if __name__ == "__main__":
    main()
