"""redis-py's errors become ours: come back later, or this will never work."""

from __future__ import annotations

import asyncio

import pytest
from redis import exceptions

from broker.errors import BrokerError, BrokerUnavailable
from broker.redis_client import translated


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectionError("gone"),
        exceptions.TimeoutError("slow"),
        exceptions.BusyLoadingError("LOADING Redis is loading the dataset in memory"),
        exceptions.ReadOnlyError("READONLY You can't write against a read only replica."),
        exceptions.OutOfMemoryError("OOM command not allowed when used memory > 'maxmemory'."),
        exceptions.ResponseError("MISCONF Errors writing to the AOF file"),
        FileNotFoundError("no socket"),
        TimeoutError(),
    ],
)
def test_what_may_work_later_is_unavailable(error: Exception) -> None:
    with (
        pytest.raises(BrokerUnavailable, match="cannot count functions: ") as caught,
        translated("count functions"),
    ):
        raise error
    assert caught.value.__cause__ is error


def test_what_redis_refuses_is_an_error_of_ours() -> None:
    with pytest.raises(BrokerError, match="cannot count functions: Redis refused: WRONGTYPE") as caught:  # noqa: SIM117
        with translated("count functions"):
            raise exceptions.ResponseError(
                "WRONGTYPE Operation against a key holding the wrong kind of value"
            )
    assert not isinstance(caught.value, BrokerUnavailable)


@pytest.mark.parametrize("error", [ValueError("a bug"), asyncio.CancelledError()])
def test_what_is_not_redis_passes(error: BaseException) -> None:
    with pytest.raises(type(error)), translated("count functions"):
        raise error
