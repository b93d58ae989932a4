"""The promises of a drain, each by itself: what is broken, in sentences."""

import json
from collections.abc import Iterator, Mapping, Sequence

from local.stack import PARTITIONS, ROOT
from status_core import evaluate

from .drain import Seen

BATCH = json.loads((ROOT / "host.json").read_bytes())["extensions"]["eventHubs"]["maxEventBatchSize"]
HELD = 2 * PARTITIONS * BATCH
"""A batch of each partition, and one more of each that the collector may not have freed."""
_ROUNDING = 1e-6


def memory(seen: Seen) -> Iterator[str]:
    """The app holds events of the batches under way, and none of the backlog."""
    if not seen.held:
        yield "the events that are held were never counted"
    most = max((count for held in seen.held for count in held.values()), default=0)
    if not 0 < most <= HELD:
        yield f"{most} events were held at once, where {HELD} are allowed"
    largest = max(batch.events for batch in seen.batches)
    if largest > BATCH:
        yield f"a batch has {largest} events, where host.json allows {BATCH}"


def last_twins(seen: Seen) -> Iterator[str]:
    """Every device has the row of its last twin, and no run of the app failed."""
    if seen.failed:
        yield f"{seen.failed} runs failed"
    for device, twin in seen.twins.items():
        row = seen.rows.get(device)
        found = row and (_number(row["TwinVersion"]), row["State"])
        expected = (twin["version"], evaluate(twin).state)
        if found != expected:
            yield f"{device} is {found}, and by its twin {expected}"


def fairness(seen: Seen) -> Iterator[str]:
    """A device with one notification is done, its event published, when the batch that has it is done."""
    for device, (partition, number) in seen.places.items():
        batch = next((one for one in seen.batches if one.partition == partition and one.number >= number), None)
        if batch is None or device not in seen.first:
            yield f"{device} was never done"
            continue
        published, place = seen.first[device]
        if batch.published[published] < place:
            yield f"{device}, notified by {partition}/{number}, was not done when the batch up to {batch.number} was"


def twin_reads(seen: Seen) -> Iterator[str]:
    """No second has more twin reads than are allowed for twin changes, and no batch reads a device twice."""
    yield from _too_many(seen.reads, seen.limit, 1)
    most = max(batch.most_reads for batch in seen.batches)
    if most > 1:
        yield f"a device was read {most} times in one batch"


def queries(seen: Seen) -> Iterator[str]:
    """No minute has more queries than are allowed for twin changes."""
    yield from _too_many(seen.queries, seen.query_limit, 60)


def _too_many(times: Sequence[float], limit: int, seconds: int) -> Iterator[str]:
    shortest = min((end - begin for begin, end in zip(times, times[limit:], strict=False)), default=None)
    if shortest is not None and shortest < seconds - _ROUNDING:
        yield f"the hub was asked {limit + 1} times within {shortest} s, where {limit} in {seconds} s are allowed"


def progress(seen: Seen) -> Iterator[str]:
    """The lines of the batches count every event, in order, and show how far behind the app is."""
    counted = sum(batch.events for batch in seen.batches)
    waited = sum(seen.sent.values()) + len(seen.sent)
    if counted != waited:
        yield f"the lines count {counted} events of {waited}"
    for partition, last in seen.sent.items():
        batches = [batch for batch in seen.batches if batch.partition == partition]
        number = -1
        for batch in batches:
            number += batch.events
            if batch.number != number:
                yield f"partition {partition}: a line has {batch.number}, and it was {number}"
                break
        if number != last:
            yield f"partition {partition}: the lines end at {number} of {last}"
        if len(batches) > 1 and not batches[-1].lag < batches[0].lag:
            yield f"partition {partition}: lag went from {batches[0].lag} s to {batches[-1].lag} s"


PROMISES = (memory, last_twins, fairness, twin_reads, queries, progress)


def broken(seen: Seen) -> Mapping[str, list[str]]:
    """What is broken of each promise."""
    return {promise.__name__: found for promise in PROMISES if (found := list(promise(seen)))}


def _number(value: object) -> object:
    """A number of a row: an Int64 comes with its type."""
    return getattr(value, "value", value)
