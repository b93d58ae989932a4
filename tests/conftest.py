"""Azurite, with an account for each module, since a timer takes all that is due; and a proxy of it.

And the mark `outside` of each test that needs more than Python: `make quick` leaves it out. And what begins first.
"""

import re
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from local.azurite import azurite_accounts
from local.tables import TableProxy, table_proxy

if TYPE_CHECKING:
    from app_over_azurite import App
    from playwright.async_api import Browser
    from sample_hosts import StartHost

_OUTSIDE = re.compile(r"^(?:from|import) (?:local|playwright|subprocess)\b", re.MULTILINE)
"""Servers and stand-ins, a browser, other programs."""
_IMPORTED = re.compile(r"^(?:from|import) (\w+)", re.MULTILINE)
_LONGEST = (
    "test_a_fleet.py",
    "test_scenarios.py",
    "test_killed.py",
    "test_one_device.py",
    "test_projection.py",
    "test_benchmarks.py",
    "test_demo.py",
    "test_library.py",
    "test_notify_causes.py",
    "test_queries_devices.py",
    "test_silent_services.py",
    "test_cost_of_a_fleet.py",
    "test_page_plant.py",
    "test_concurrency.py",
    "test_gate_command.py",
)
"""Files that take half a minute or more: where they began last, one core would wait for the other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first. Mark a test whose module, or one beside it that it imports, uses what is outside.

    Raises:
        UsageError: The id of a test holds an address: each process would have another one.
    """
    items.sort(key=lambda item: _LONGEST.index(item.path.name) if item.path.name in _LONGEST else len(_LONGEST))
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid}: each process has another id for it")
        if needs_outside(item.path) or "accounts" in getattr(item, "fixturenames", ()):
            item.add_marker("outside")


@cache
def needs_outside(path: Path) -> bool:
    text = path.read_text()
    beside = (path.with_name(f"{name}.py") for name in _IMPORTED.findall(text))
    return _OUTSIDE.search(text) is not None or any(needs_outside(module) for module in beside if module.exists())


# A job in the background of a shell ignores Ctrl-C, and so would the processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def accounts() -> Iterator[Iterator[str]]:
    """Connection strings of table services without any table."""
    with azurite_accounts() as connection_strings:
        yield connection_strings


@pytest.fixture(scope="module")
def tables(accounts: Iterator[str]) -> str:
    """The connection string of the module's own table service."""
    return next(accounts)


@pytest.fixture
async def proxy(tables: str) -> AsyncIterator[TableProxy]:
    """A proxy of that table service: it counts, and fails on demand."""
    async with table_proxy(tables) as proxy:
        yield proxy


@pytest.fixture
async def app(tables: str) -> "AsyncIterator[App]":
    """The app over that table service, without any device."""
    from app_over_azurite import fresh_app  # noqa: PLC0415 (of tests/status_app alone)

    async with fresh_app(tables) as app:
        yield app


@pytest.fixture
async def start_host(tmp_path: Path) -> "AsyncIterator[StartHost]":
    """Starts functions hosts, which stop at the end of the test."""
    from sample_hosts import hosts  # noqa: PLC0415 (of tests/local/host alone)

    async with hosts(tmp_path) as start:
        yield start


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> "AsyncIterator[Browser]":
    """A Chromium for all tests of the page."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 (other tests do without)

    command = ["sh", str(Path(__file__).parents[1] / "scripts/chromium")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603, ASYNC221 (before all tests)
    async with async_playwright() as playwright:
        path = found.stdout.strip()
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-lcd-text"]
        )
        yield browser
        await browser.close()
