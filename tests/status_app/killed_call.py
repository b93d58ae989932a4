"""A process that ends at one of its calls: requests to the tables, and messages to targets."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from status_app.notify.webhook import Message, Webhooks
from status_app.storage.transport import TableTransport


@dataclass
class Calls:
    """What a process has done.

    Attributes:
        number: How many calls it made, the last of them included.
        begun: The ids of messages that it began to send: each may have arrived.
    """

    number: int = 0
    begun: list[str] = field(default_factory=list)


async def killed_at(last: float, kind: str, run: Callable[[], Awaitable[object]], patch: pytest.MonkeyPatch) -> Calls:
    """Run something that ends at a call, before or after that is done.

    What runs beside the call makes no further one either: the process is gone.

    Args:
        last: The number of the call, from 1 on.
        kind: `before` or `after`.
        run: What runs.
        patch: Stands between it and the calls.
    """
    calls = Calls()
    running: asyncio.Task[object] | None = None

    def counted(call: Any) -> Any:
        async def doomed(*arguments: Any, **options: Any) -> Any:
            calls.number += 1
            is_last = calls.number == last
            if calls.number > last or (is_last and kind == "before"):
                await end()
            calls.begun += [argument.id for argument in arguments if isinstance(argument, Message)]
            answer = await call(*arguments, **options)
            if is_last:
                await end()
            return answer

        return doomed

    async def end() -> None:
        assert running is not None
        running.cancel()
        await asyncio.Event().wait()

    async def whole() -> object:
        return await run()

    with patch.context() as patched:
        patched.setattr(TableTransport, "send", counted(TableTransport.send))
        patched.setattr(Webhooks, "send_once", counted(Webhooks.send_once))
        running = asyncio.create_task(whole())
        await asyncio.wait({running})
    assert running.cancelled() is (calls.number >= last)
    if not running.cancelled():
        running.result()
    return calls
