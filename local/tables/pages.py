"""Pages of entities, as azure-data-tables gives them out."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from azure.data.tables import TableEntity

type Gate = Callable[[str, Callable[[], Any]], Awaitable[Any]]
"""What a call goes through on its way: its name, and what it does."""


class Paged:
    """The answers to a query, as they are asked for."""

    def __init__(self, gate: Gate, page: Callable[[tuple[str, str]], tuple[list[TableEntity], Any]]) -> None:
        self._gate = gate
        self._page = page

    def by_page(self, continuation_token: Sequence[str] | None = None) -> "Pages":
        """As of the SDK."""
        return Pages(self._gate, self._page, continuation_token)

    async def __aiter__(self) -> AsyncIterator[TableEntity]:
        async for page in self.by_page():
            async for row in page:
                yield row


class Pages:
    """The pages of a query, and where it goes on behind the one that was given last."""

    def __init__(
        self,
        gate: Gate,
        page: Callable[[tuple[str, str]], tuple[list[TableEntity], Any]],
        continuation_token: Sequence[str] | None,
    ) -> None:
        self._gate = gate
        self._page = page
        self._is_begun = False
        self.continuation_token = continuation_token

    def __aiter__(self) -> "Pages":
        return self

    async def __anext__(self) -> AsyncIterator[TableEntity]:
        if self._is_begun and self.continuation_token is None:
            raise StopAsyncIteration
        first, second = self.continuation_token or ("", "")
        rows, self.continuation_token = await self._gate("query_entities", partial(self._page, (first, second)))
        self._is_begun = True
        return _each(rows)


async def _each(rows: Sequence[TableEntity]) -> AsyncIterator[TableEntity]:
    for row in rows:
        yield row
