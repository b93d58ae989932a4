"""HTTPS with a deadline for a whole answer. A timeout of requests is one of silence: bytes that drip renew it."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context


class _Deadline(threading.local):
    """When the request of this thread has to be over, by `time.monotonic`; None: it takes as long as it takes."""

    at: float | None = None


_deadline = _Deadline()


@contextmanager
def ending_within(seconds: float) -> Iterator[None]:
    """Let what this thread reads through a `TimedAdapter` end in time: a later read raises TimeoutError."""
    _deadline.at = time.monotonic() + seconds
    try:
        yield
    finally:
        _deadline.at = None


class _TimedSocket(ssl.SSLSocket):
    """A connection whose reads, the shortest of them, wait no longer than until the deadline."""

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        if _deadline.at is not None:
            left = _deadline.at - time.monotonic()
            if left <= 0:
                raise TimeoutError
            silence = self.gettimeout()  # urllib3 sets it anew for each request
            self.settimeout(left if silence is None else min(silence, left))
        return super().recv_into(buffer, nbytes, flags)


class TimedAdapter(HTTPAdapter):
    """Connections that keep to `ending_within`."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pool, as its base does."""
        context = create_urllib3_context()
        context.sslsocket_class = _TimedSocket
        super().init_poolmanager(*args, ssl_context=context, **options)
