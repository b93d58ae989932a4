"""Retry policies as the functions host applies them to Event Hubs and timer triggers."""

import random
from dataclasses import dataclass
from datetime import timedelta

from local.host.messages import RpcRetryOptions

_FOREVER = -1
_SPREAD = 0.2


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and with which delays, to retry a failed invocation.

    Attributes:
        max_retry_count: Retries after the first attempt, -1 for unlimited.
        minimum_interval: The delay of a fixed delay policy, or the shortest of an exponential backoff.
        maximum_interval: The longest delay of an exponential backoff, None for a fixed delay policy.
    """

    max_retry_count: int
    minimum_interval: timedelta
    maximum_interval: timedelta | None

    def allows(self, retry: int) -> bool:
        """Whether to run retry number `retry`, counted from 1."""
        return self.max_retry_count == _FOREVER or retry <= self.max_retry_count

    def delay(self, retry: int) -> float:
        """Return the seconds to wait before retry number `retry`, counted from 1.

        A backoff starts with the minimum and adds to it the minimum, doubled with each further retry and spread by a
        fifth (RandomizedExponentialBackoffStrategy of the WebJobs SDK).
        """
        shortest = self.minimum_interval.total_seconds()
        if self.maximum_interval is None or retry == 1:
            return shortest
        longest = self.maximum_interval.total_seconds()
        spread = random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - keeps retries apart, no secret
        # The exponent is bounded for unlimited retries: 2**1023 is the largest power in a float.
        return min(shortest + spread * 2.0 ** min(retry - 2, 1000) * shortest, longest)


def retry_policy(options: RpcRetryOptions | None) -> RetryPolicy | None:
    """Return the retry policy of a function, or None."""
    if options is None:
        return None
    shortest = options.delay_interval if options.delay_interval is not None else options.minimum_interval
    return RetryPolicy(options.max_retry_count, shortest or timedelta(), options.maximum_interval)
