"""The publisher of the model and the real one over the event hubs stand-in: after a refusal both keep one promise.

Events that it accepts are stored in their order. Of events that it refuses the first ones may be stored.
"""

import asyncio

import pytest

from local.eventhubs import EventHubs
from status_app.errors import UnavailableError
from status_app.events.publisher import RETRY, TransitionPublisher

from .faults import Fault, Trouble
from .process import Publisher
from .steps import History
from .world import world

EVENTS = [b'{"type": "%d", "data": {"deployments": []}}' % number for number in (1, 2, 3)]
HUB = "transitions"
SURVIVED = [*Trouble][: [*Trouble].index(Trouble.KILLED)]


async def nothing(_seconds: float) -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize("trouble", [None, *SURVIVED])
async def test_the_one_of_the_model_stores_in_order_or_refuses(trouble: Trouble | None) -> None:
    with world(History(())) as found:
        process = found.processes[0]
        process.expect(() if trouble is None else (Fault(0, trouble),))
        refused = await refuses(Publisher(process, found))
        stored = [body for _, body in found.published]
    hold(stored, refused=refused)


@pytest.mark.parametrize("refusals", [0, 1, 2 * RETRY.attempts])
async def test_the_real_one_stores_in_order_or_refuses(refusals: int) -> None:
    namespace = EventHubs({HUB: 1})
    await namespace.start()
    publisher = TransitionPublisher(namespace.connection_string(), HUB, sleep=nothing)
    try:
        namespace.faults.refuse(HUB, refusals)
        refused = await refuses(publisher)
        hold([event.body for event in namespace.events(HUB)], refused=refused)
    finally:
        await publisher.close()
        await namespace.stop()


async def refuses(publisher: Publisher | TransitionPublisher) -> bool:
    try:
        await publisher.publish("edge-01", EVENTS)
    except UnavailableError as error:
        return error.service == "transitions"
    return False


def hold(stored: list[bytes], *, refused: bool) -> None:
    firsts = list(dict.fromkeys(stored))
    assert firsts == EVENTS[: len(firsts)]
    assert refused or firsts == EVENTS
