"""How far each partition of an event hub has been processed, kept in a file."""

import asyncio
import json
from pathlib import Path


class Checkpoints:
    """(consumer group, event hub, partition id) -> sequence number of the last processed event.

    Each change replaces the whole file atomically, so a killed host never leaves a partial one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done: dict[str, int] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        self._advanced = asyncio.Condition()

    def get(self, group: str, hub: str, partition: str) -> int | None:
        """Return the last processed sequence number; None before the first."""
        return self._done.get(_key(group, hub, partition))

    async def advance(self, group: str, hub: str, partition: str, sequence_number: int) -> None:
        """Advance the checkpoint, store it, and wake those who wait for it."""
        self._done[_key(group, hub, partition)] = sequence_number
        self._write()
        async with self._advanced:
            self._advanced.notify_all()

    async def reached(self, group: str, hub: str, partition: str, sequence_number: int) -> None:
        """Wait until the event with `sequence_number` is processed."""
        key = _key(group, hub, partition)
        async with self._advanced:
            await self._advanced.wait_for(lambda: self._done.get(key, -1) >= sequence_number)

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps(self._done, indent=1), "utf-8")
        draft.replace(self._path)


def _key(group: str, hub: str, partition: str) -> str:
    return f"{group}/{hub}/{partition}"
