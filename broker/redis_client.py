"""redis-py, off the hot path: one way to make a client, one place that translates its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from broker.errors import BrokerError, BrokerUnavailable

_CONNECT_TIMEOUT_SECONDS = 5.0
_ANSWER_TIMEOUT_SECONDS = 10.0


def redis_client(url: str, connections: int = 16) -> Redis:
    """A client for `unix://`, `redis://` or `rediss://`; nothing is connected yet.

    Callers wait for one of `connections`. Nothing is retried: a command whose answer was lost may have
    run. A connection that was lost is opened anew for the next command.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=_ANSWER_TIMEOUT_SECONDS,
        socket_connect_timeout=_CONNECT_TIMEOUT_SECONDS,
        socket_timeout=_ANSWER_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn redis-py's errors into ours; `action` completes "cannot ..." in the message.

    Raises BrokerUnavailable where trying again may help, BrokerError where Redis refused the command.
    """
    try:
        yield
    except ResponseError as error:
        if str(error).startswith(("LOADING", "READONLY", "MASTERDOWN", "OOM", "BUSY", "MISCONF")):
            raise BrokerUnavailable(f"cannot {action}: Redis is not ready: {error}") from error
        raise BrokerError(f"cannot {action}: Redis refused: {error}") from error
    except (RedisError, OSError, TimeoutError) as error:
        raise BrokerUnavailable(f"cannot {action}: Redis does not answer: {error}") from error
