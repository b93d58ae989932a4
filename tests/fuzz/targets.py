"""The targets: each makes an input out of a source of chance, and asserts what must hold of the answer."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from azure.functions import EventHubEvent
from azure.functions.meta import Datum

from status_app.errors import BadEventError
from status_app.fleet_index.rows import Summary, project
from status_app.ingest.dead_letter_body import safe_body
from status_app.ingest.event_batch import IncomingEvent, read_batch
from status_app.ingest.notifications import OtherEvent, read_notification
from status_app.status_table.rows import device_row, module_row, transition_row
from status_app.status_table.stored_device import StoredDevice
from status_app.storage.keys import DEVICE
from status_core import (
    MESSAGE_LIMIT,
    NAME_LIMIT,
    RULES,
    DeviceRecord,
    GracePolicy,
    Kind,
    State,
    advance,
    deletion,
    evaluate,
    flag_unverified,
)

from .mutation import KEYS, NUMBERS, SECRET, TEXTS, TWINS, fresh, hostile, mutate, value, with_secrets

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
POLICY: Final = GracePolicy()
RULE_IDS: Final = {*(rule.__name__ for rule in RULES), "unknown_code"}
PROPERTIES: Final[Mapping[str, tuple[Any, ...]]] = {
    "iothub-message-schema": ("twinChangeNotification", "deviceLifecycleNotification", "moduleLifecycleNotification"),
    "opType": ("updateTwin", "replaceTwin", "createDeviceIdentity", "deleteDeviceIdentity", "deleteModuleIdentity"),
    "deviceId": ("edge-01", "edge/02", "d" * 128, "d" * 129),
    "moduleId": ("$edgeAgent", "$edgeHub", "m1"),
    "operationTimestamp": ("2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    "hubName": ("hub1",),
}


def notifications(random: Random) -> None:
    """`read_notification` reads an event or refuses it with a reason."""
    properties = {
        name: random.choice(some) if random.random() < 0.9 else value(random)
        for name, some in PROPERTIES.items()
        if random.random() < 0.9
    }
    system = {
        name: value(random) if random.random() < 0.3 else random.choice(("edge-01", "$edgeAgent", "Telemetry"))
        for name in ("connection-device-id", "connection-module-id", "message-source")
        if random.random() < 0.3
    }
    event = IncomingEvent(_body(random), properties, system, "0", 1, None)
    safe_body(event.body)
    try:
        found = read_notification(event)
    except BadEventError:
        return
    if not isinstance(found, OtherEvent):
        assert isinstance(found.device_id, str)
        assert 0 < len(found.device_id) <= NAME_LIMIT


def batches(random: Random) -> None:
    """`read_batch` reads any metadata that the worker gives with events."""
    metadata = {
        name: Datum(json.dumps(_metadata(random)), random.choice(("json", "string")))
        for name in ("PropertiesArray", "SystemPropertiesArray", "PartitionContext")
        if random.random() < 0.9
    }
    event = EventHubEvent(
        body=_body(random),
        trigger_metadata=metadata,
        enqueued_time=random.choice((None, START.replace(tzinfo=None))),
        sequence_number=random.choice((None, 0, 7)),
        iothub_metadata=random.choice((None, {}, {"connection-device-id": "edge-01"})),
    )
    (found,) = read_batch([event])
    assert isinstance(found.properties, dict)
    assert isinstance(found.partition_id, str)


def verdicts(random: Random) -> None:
    """`evaluate` gives a state by a rule that exists, in JSON that is valid, the same each time."""
    twin = hostile(random)
    status = evaluate(twin)
    assert status.rule in RULE_IDS
    assert status.state in State
    assert 0 < len(status.message) <= MESSAGE_LIMIT
    assert status.message.isprintable()
    json.dumps(status.as_json(), allow_nan=False)
    assert evaluate(twin) == status


def lives(random: Random) -> None:
    """Hostile twins one after the other: histories are whole, and rows give back what they were made of."""
    record: DeviceRecord | None = None
    now, sequence, last = START, 0, datetime.min.replace(tzinfo=UTC)
    announced: dict[str, str] = {}
    stuck: set[str] = set()
    twin = fresh(random.choice(TWINS))
    for _ in range(random.randint(2, 6)):
        now += timedelta(seconds=random.choice((-5, 0, 1, 30, 61, 1000, 100_000)))
        if random.random() < 0.3:
            twin = hostile(random)
        else:
            mutate(random, twin)
        status = evaluate(twin)
        if record is not None and random.random() < 0.2:
            names = tuple(record.modules)
            record, transitions = flag_unverified(record, now)
        else:
            names = tuple(status.modules)
            record, transitions = advance(record, status, now, POLICY)
            assert advance(record, status, now, POLICY)[0].news == record.news
        for transition in transitions:
            change, sequence = transition.change, sequence + 1
            assert transition.sequence == sequence
            assert last <= transition.at
            last = transition.at
            if change.kind in (Kind.STUCK, Kind.RECOVERED):
                assert (change.kind is Kind.RECOVERED) is (change.module in stuck)
                stuck ^= {change.module}
            else:
                assert change.from_state == announced.get(change.module, change.from_state)
                announced[change.module] = change.to_state or "settled"
            transition_row("hub1", "edge-01", transition, now)
        record = _through_rows(record, names)
        kept = {"": record.news.state} | {name: module.news.state for name, module in record.modules.items()}
        assert {announced.pop(name) for name in announced.keys() - kept.keys()} <= {"settled"}
        assert announced.items() <= kept.items()
        due = record.due(POLICY)
        assert due is None or due.tzinfo is not None
    if record is not None:
        assert deletion(record, now).at >= last


def secrets(random: Random) -> None:
    """A golden twin full of secrets, with one place changed: no secret leaves the core."""
    twin = with_secrets(fresh(random.choice(TWINS)))
    mutate(random, twin)
    status = evaluate(twin)
    later = START + timedelta(days=1)
    first, initial = advance(None, status, START, POLICY)
    results = (status.as_json(), first, initial, advance(first, status, later, POLICY), flag_unverified(first, later))
    assert SECRET not in repr(results)
    assert SECRET not in repr(safe_body(json.dumps(twin).encode("utf-8", "surrogatepass")))


def _metadata(random: Random) -> Any:
    return random.choice((value(random), [value(random)], [{}], {"PartitionId": value(random)}))


def _through_rows(record: DeviceRecord, names: tuple[str, ...]) -> DeviceRecord:
    """A record that was written and is read again: nothing of it is lost."""
    rows = {DEVICE: device_row("edge-01", record, POLICY, 0)}
    for name, module in record.modules.items():
        row = module_row("edge-01", name, module)
        assert row["RowKey"] not in rows
        rows[row["RowKey"]] = row
    stored = StoredDevice("edge-01", rows, last_sequence=record.sequence)
    assert project(stored, Summary("edge-01"), 0, now=START) is not None
    found = stored.record(names)
    assert found == record
    return found


def _body(random: Random) -> bytes:
    """A body of an event: a patch of a twin, JSON, or bytes."""
    kind = random.randrange(10)
    if kind == 0:
        return random.randbytes(random.randrange(40))
    if kind == 1:
        return b"[" * random.choice((10, 100_000))
    body = {"version": random.choice((*NUMBERS, 7)), "properties": hostile(random), "deviceId": random.choice(TEXTS)}
    if random.random() < 0.3:
        body[random.choice(KEYS)] = value(random)
    text = json.dumps(body if kind < 8 else value(random))
    made = text.encode(random.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16")))
    return made if random.random() < 0.8 else made[: random.randrange(len(made) + 1)]


TARGETS: Final[tuple[Callable[[Random], None], ...]] = (notifications, batches, verdicts, lives, secrets)
