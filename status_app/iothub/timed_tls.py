"""HTTPS with a deadline for a whole response. The timeout of requests is per read, so slow bytes would extend it."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context


class _Deadline(threading.local):
    """When this thread's request must be over, by `time.monotonic`; None if it has no deadline."""

    at: float | None = None


_deadline = _Deadline()


@contextmanager
def ending_within(seconds: float) -> Iterator[None]:
    """Limit what this thread reads through a `TimedAdapter`: a read after the deadline raises TimeoutError."""
    _deadline.at = time.monotonic() + seconds
    try:
        yield
    finally:
        _deadline.at = None


class _TimedSocket(ssl.SSLSocket):
    """A connection whose reads never wait past the deadline."""

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        if _deadline.at is not None:
            left = _deadline.at - time.monotonic()
            if left <= 0:
                raise TimeoutError
            silence = self.gettimeout()  # urllib3 sets it again for each request
            self.settimeout(left if silence is None else min(silence, left))
        return super().recv_into(buffer, nbytes, flags)


class TimedAdapter(HTTPAdapter):
    """Creates connections that obey `ending_within`."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Create the connection pool, with the timed context."""
        context = create_urllib3_context()
        context.sslsocket_class = _TimedSocket
        super().init_poolmanager(*args, ssl_context=context, **options)
