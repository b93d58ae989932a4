"""The faults of a soak: one after the other, at random."""

import signal
from collections.abc import Callable
from random import Random
from subprocess import Popen
from typing import TYPE_CHECKING, Final

from local.eventhubs import EventHubs
from local.iothub import IotHub
from local.stack import TRANSITIONS
from local.tables.proxy import TableProxy

if TYPE_CHECKING:
    from local.iothub.server import Operation as HubOperation
    from local.tables.proxy import Operation as TableOperation

MOST: Final = 20
"""Calls in a row that one fault meets."""
LONGEST: Final = 20.0
"""Seconds that a call is late, or the process is paused."""


class Trouble:
    """Makes services of the app fail, and pauses its process.

    Attributes:
        count: Of faults so far.
    """

    def __init__(self, tables: TableProxy, hub: IotHub, events: EventHubs, app: Popen[str], random: Random) -> None:
        self._tables = tables
        self._hub = hub
        self._events = events
        self._app = app
        self._random = random
        self._seconds_left = 0
        self.count = 0

    def next(self) -> None:
        """Let the next second come: now and then something begins to fail in it."""
        if self._seconds_left:
            self._seconds_left -= 1
            if not self._seconds_left:
                self._app.send_signal(signal.SIGCONT)
        elif self._random.randrange(15) == 0:
            self.count += 1
            self._random.choice(self._kinds())()

    def end(self) -> None:
        """Let everything work again."""
        self._seconds_left = 0
        self._app.send_signal(signal.SIGCONT)
        self._tables.faults.clear()
        self._hub.faults.clear()
        self._events.faults.refuse(TRANSITIONS, 0)

    def _kinds(self) -> list[Callable[[], object]]:
        random, calls = self._random, self._random.randint(1, MOST)
        op: TableOperation = random.choice(["read", "write"])
        asked: HubOperation = random.choice(["read", "query"])
        late = random.uniform(1, LONGEST)
        tables, hub = self._tables.faults, self._hub.faults
        return [
            lambda: tables.add(op, random.choice([429, 500, 503]), calls),
            lambda: tables.cut(op, calls),
            lambda: tables.cut_after(op, calls),
            lambda: tables.delay(op, late, calls),
            lambda: hub.add(asked, random.choice([429, 500, 503]), calls),
            lambda: hub.cut(asked, calls),
            lambda: hub.delay(asked, late, calls),
            lambda: self._events.faults.refuse_calls(TRANSITIONS, calls),
            self._events.faults.drop_connections,
            self._pause,
        ]

    def _pause(self) -> None:
        self._seconds_left = self._random.randint(1, int(LONGEST))
        self._app.send_signal(signal.SIGSTOP)
