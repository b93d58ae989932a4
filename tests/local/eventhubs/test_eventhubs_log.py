"""What the logs hold, without any client."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from namespaces import routed

from local.eventhubs import AmqpError, EventHubs

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def clock(*seconds: int) -> Callable[[], datetime]:
    times = iter(seconds)
    return lambda: T0 + timedelta(seconds=next(times))


def test_the_partition_of_a_key_never_changes() -> None:
    namespace = EventHubs({"twins": 4})
    partitions = [namespace.append("twins", routed(b"", key))[0] for key in ("device-1", "device-2", "dévice/3", "")]
    assert partitions == ["1", "3", "2", "0"]


def test_sequence_numbers_have_no_gaps_and_offsets_grow() -> None:
    namespace = EventHubs({"twins": 1})
    assert [namespace.append("twins", routed(b"x" * size)) for size in (0, 5, 0)] == [("0", 0), ("0", 1), ("0", 2)]
    offsets = [int(event.offset) for event in namespace.events("twins")]
    assert offsets == sorted(set(offsets))
    assert namespace.last_sequence("twins") == {"0": 2}


def test_the_time_of_a_partition_never_runs_backwards() -> None:
    namespace = EventHubs({"twins": 1}, now=clock(0, 10, 5, 20))  # the first one is that of the hub
    for _ in range(3):
        namespace.append("twins", routed(b""))
    seconds = [(event.enqueued_time - T0).seconds for event in namespace.events("twins")]
    assert seconds == [10, 10, 20]


def test_hubs_that_do_not_exist_are_an_error() -> None:
    namespace = EventHubs({"twins": 1})
    for call in (
        namespace.events,
        namespace.last_sequence,
        lambda hub: namespace.append(hub, routed(b"")),
        lambda hub: namespace.faults.refuse(hub, 1),
    ):
        with pytest.raises(AmqpError, match="not-found"):
            call("nowhere")
