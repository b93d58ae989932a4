"""What a process of the app is in."""

from collections.abc import Iterator
from datetime import datetime
from random import Random
from typing import Protocol

from local.tables.memory import Tables

from .fleet import Change, Device, Judge
from .hub_list import Deployments
from .steps import History, Page


class Surroundings(Protocol):
    """What a process is in: its services, the hub, and the clock."""

    history: History
    judge: Judge
    now: datetime
    hub_list: Deployments
    tables: Tables
    published: list[tuple[str, bytes]]
    devices: dict[str, Device]
    lag: dict[str, int]
    page_size: int
    pages: Iterator[Page]
    random: Random

    def change(self, change: Change) -> None:
        """Change a twin."""

    async def rival(self, device: int) -> None:
        """Let another process look at a device."""

    async def meanwhile(self, device: int) -> None:
        """Let another process look at a device, and run the timer of each minute."""
