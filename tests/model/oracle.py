"""What the tables and the event hub must hold at the end of a history, computed from the twins alone.

The states are those of the last twins, whatever the app has seen of the others. Of clocks and news only some can be
known:

- `Stuck` of everything, and that what is is announced, once the longest of all clocks has ended since the last change.
- That no state is announced twice before all is well or another version comes.
- Times to the microsecond, and what was announced last, for a device of which every twin was looked at before the next
  one came, and never flagged unseen: then they are what `status_core` makes of the twins, each at its time and again
  whenever that is due. A module is left out once the device could say nothing about it: what its clock does then
  depends on the time of the look.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from status_app.events.cloud_event import cloud_event

from .expected_clocks import announced, flags, times
from .expected_history import followed, history_of, kept, repeated
from .expected_index import index
from .expected_rollouts import deployments
from .expected_rows import states
from .fleet import SECRET
from .promises import broken_promises
from .world import World

REASONS: Final = ("iothub_unavailable", "tables_unavailable", "device_not_found")
"""Why an event may be given up: nothing else happens here."""


def wrong(world: World, *, at_rest: bool) -> Iterator[str]:
    """What is not as it must be.

    Args:
        at_rest: More than the longest grace period and the age of a writer went by since anything happened.
    """
    yield from world.log.bugs
    pointers = {(row["PartitionKey"], row["RowKey"]) for row in world.tables.rows("DeploymentIndex")}
    for device in world.devices.values():
        rows, history = world.rows(device.device_id), history_of(world, device.device_id)
        state = {key: row for key, row in rows.items() if not key.startswith("transition:")}
        is_older = device.device_id in world.written_by_older
        found = [
            *broken_promises(device.device_id, state, history, pointers, is_chained=not is_older),
            *states(device, state, history),
            *(() if is_older else repeated(device, history)),
            *followed(world, device, history),
            # Until a timer ran by a clock that agrees with the others, a deadline may be late.
            *((*flags(state), *announced(state)) if at_rest else ()),
            *(times(world, device, state, history) if at_rest and not is_older else ()),
            *kept(world, device, rows, history),
        ]
        yield from (f"{device.device_id}: {text}" for text in found)
    if at_rest:
        yield from index(world)
        yield from deployments(world)
        yield from _events(world)
        yield from _secrets(world)
    for letter in world.tables.rows("DeadLetter"):
        if letter["Reason"] not in REASONS:
            yield f"dead letter: {letter['Reason']}, {letter['Detail']}"


def _events(world: World) -> Iterator[str]:
    """Each transition was sent, in its order; what is sent again is the same; nothing else is sent."""
    bodies: dict[str, bytes] = {}
    of_older = set[str]()
    firsts: defaultdict[str, list[bytes]] = defaultdict(list)
    for key, body in world.published:
        event = json.loads(body)
        if bodies.setdefault(event["id"], body) != body:
            yield f"{event['id']} is sent with other content"
        elif body not in firsts[event["source"]]:
            firsts[event["source"]].append(body)
        if key in world.written_by_older:
            of_older.add(event["source"])
        if key != event["data"].get("deviceId", key):
            yield f"{event['id']} has the partition key {key}"
    sent = [body for source, some in firsts.items() if "/devices/" in source for body in some]
    known = [cloud_event(device, row) for device in world.devices for row in history_of(world, device)]
    if Counter(sent) != Counter(known):
        yield f"{len(set(known) - set(sent))} transitions are not sent, {len(set(sent) - set(known))} have no row"
    for source, some in firsts.items():
        sequences = [int(json.loads(body)["sequence"]) for body in some]
        if source in of_older:  # that release does not know what this one left, and sends its own first
            sequences.sort()
        if sequences != list(range(1, len(sequences) + 1)):
            yield f"{source} sends first {sequences}"


def _secrets(world: World) -> Iterator[str]:
    """No row, event or line of the log holds a secret."""
    columns = (value for _, row in world.tables.written for value in row.values())
    if any(SECRET in value for value in columns if isinstance(value, str)):
        yield "a row holds a secret"
    if any(SECRET.encode() in body for _, body in world.published):
        yield "an event holds a secret"
    if any(SECRET in line for line in world.log.lines):
        yield "the log holds a secret"
