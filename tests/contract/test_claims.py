"""Taking something once, whatever holds the claims."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from broker.claims import Claims, MemoryClaims, RedisClaims
from tests.waiting import until_async


@pytest.fixture(params=["memory", "redis"])
async def claims(request: pytest.FixtureRequest, namespace: str) -> AsyncIterator[Claims]:
    if request.param == "memory":
        yield MemoryClaims()
        return
    made = RedisClaims(request.getfixturevalue("redis_server").url, namespace)
    yield made
    await made.close()


async def test_one_has_it_and_the_others_wait(claims: Claims) -> None:
    assert await claims.claim("s", "m", 60) == "new"
    assert await claims.claim("s", "m", 60) == "busy"
    assert await claims.claim("other", "m", 60) == "new"


async def test_what_was_dealt_with_stays_so(claims: Claims) -> None:
    await claims.claim("s", "m", 60)
    await claims.keep("s", "m", 60)

    assert await claims.claim("s", "m", 60) == "done"


async def test_what_was_released_can_be_had_again(claims: Claims) -> None:
    await claims.claim("s", "m", 60)
    await claims.release("s", "m")

    assert await claims.claim("s", "m", 60) == "new"


async def test_a_claim_whose_holder_died_lapses(claims: Claims) -> None:
    await claims.claim("s", "m", 0.02)

    async def is_free() -> bool:
        return await claims.claim("s", "m", 60) == "new"

    await until_async(is_free)
