"""Verdicts are kept for their time, and never more of them than there is room for."""

from __future__ import annotations

from gateway.http_api import verdict_cache
from gateway.http_api.verdict_cache import Key, VerdictCache
from triggers.http_api.lambda_authorizer import Verdict
from triggers.http_api.settings import AuthorizerSettings

YES = Verdict(True, {})


def key(identity: str, function: str = "f") -> Key:
    return AuthorizerSettings(function=function, ttl_seconds=10), (identity,)


def test_a_verdict_holds_until_its_time_is_over() -> None:
    now = 0.0
    cache = VerdictCache(lambda: now)
    cache.put(key("a"), YES, 10)
    now = 9.9
    assert cache.get(key("a")) is YES
    now = 10
    assert cache.get(key("a")) is None


def test_another_identity_or_authorizer_has_another_verdict() -> None:
    cache = VerdictCache()
    cache.put(key("a"), YES, 10)
    assert cache.get(key("b")) is None
    assert cache.get(key("a", "g")) is None


def test_nothing_is_kept_for_no_time() -> None:
    cache = VerdictCache()
    cache.put(key("a"), YES, 0)
    assert cache.get(key("a")) is None


def test_the_verdict_that_was_used_the_longest_ago_makes_room() -> None:
    cache = VerdictCache()
    for number in range(verdict_cache.MOST_VERDICTS):
        cache.put(key(str(number)), YES, 10)
    assert cache.get(key("0")) is YES
    cache.put(key("new"), YES, 10)
    assert cache.get(key("0")) is YES
    assert cache.get(key("1")) is None
