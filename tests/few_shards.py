"""The index in fewer partitions than the app has."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from status_app.fleet_index.rows import SHARDS


@contextmanager
def few_shards(number: int = 2) -> Iterator[None]:
    """Spread devices over few partitions: each question to the index asks all of them, and most tests need no more."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("fleet_index.rows", "fleet_index.lookups", "reconcile.comparison"):
            patch.setattr(f"status_app.{module}.SHARDS", SHARDS[:number])
        yield
