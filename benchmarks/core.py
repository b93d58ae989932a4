"""What judging a twin costs beside reading its JSON, which nothing can do without."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import rollout
from benchmarks.table import Row
from status_core import evaluate

CASES: Final = Path(__file__).parents[1] / "tests/cases"
AIM: Final = 1.8
"""Times that `json.loads` takes."""


def core(*, short: bool) -> list[Row]:
    """Twins a second, for the golden cases and for every twin of a rollout."""
    devices, rounds = (20, 3) if short else (60, 40)
    cases = [json.loads(path.read_bytes())["twin"] for path in sorted(CASES.glob("*.json"))]
    sources = {
        "golden cases": [json.dumps(twin, separators=(",", ":")) for twin in cases],
        "twins of a rollout": rollout.twins(devices, 5),
    }
    return [row for name, texts in sources.items() for row in _rows(name, texts, rounds)]


def _rows(name: str, texts: Sequence[str], rounds: int) -> list[Row]:
    twins = [json.loads(text) for text in texts]
    loads, judged = side_by_side([(json.loads, texts), (evaluate, twins)], rounds)
    count, size = len(texts), sum(map(len, texts)) / len(texts) / 1024
    return [
        Row("core", f"json.loads, {count} {name} of {size:.1f} KiB", f"{count / loads:,.0f}/s"),
        Row(
            "core", f"evaluate, {name}", f"{count / judged:,.0f}/s", f"{judged / loads:.2f}", "json.loads", f"<= {AIM}"
        ),
    ]


def side_by_side(works: Sequence[tuple[Callable[[Any], object], Sequence[Any]]], rounds: int) -> list[float]:
    """Seconds that each work takes for all of its items.

    The works take turns at each item, and of each item the fastest round counts: what else runs on the machine
    interrupts a piece of a tenth of a millisecond seldom, and never in all rounds.
    """
    best = [[float("inf")] * len(items) for _, items in works]
    for _ in range(rounds):
        for number in range(len(works[0][1])):
            for times, (work, items) in zip(best, works, strict=True):
                item = items[number]
                started = time.perf_counter()
                work(item)
                times[number] = min(times[number], time.perf_counter() - started)
    return [sum(times) for times in best]
