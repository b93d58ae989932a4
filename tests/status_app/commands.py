"""The commands of the app as processes of their own."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Command:
    """A command that runs; what it has printed so far is in `lines`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def until(self, part: str) -> str:
        """Read until a line with this part, and return it."""
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            self.lines.append(raw.decode().rstrip("\n"))
            if part in self.lines[-1]:
                return self.lines[-1]
        raise AssertionError(f"no line with {part!r} in {self.lines}")

    async def end(self) -> int:
        """Read the rest, and return the exit code."""
        assert self.process.stdout is not None
        self.lines += [raw.decode().rstrip("\n") async for raw in self.process.stdout]
        return await self.process.wait()


@asynccontextmanager
async def running(environment: Mapping[str, str], *arguments: str) -> AsyncIterator[Command]:
    """A command of `python -m status_app`, its errors among its output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "status_app", *arguments,
        cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield Command(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended(environment: Mapping[str, str], *arguments: str) -> tuple[int, list[str]]:
    """The exit code of a command, and what it printed."""
    async with running(environment, *arguments) as command:
        return await command.end(), command.lines
