"""Verdicts of Lambda authorizers, kept for as long as their settings say."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from triggers.http_api.lambda_authorizer import Verdict
from triggers.http_api.settings import AuthorizerSettings

MOST_VERDICTS = 10_000

Key = tuple[AuthorizerSettings, tuple[str, ...]]
"""The same authorizer and the same identity: shared by all routes that use it, as on AWS."""


class VerdictCache:
    """Bounded: the verdict that was used the longest ago goes first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._verdicts: OrderedDict[Key, tuple[float, Verdict]] = OrderedDict()

    def get(self, key: Key) -> Verdict | None:
        """A verdict that still holds."""
        found = self._verdicts.get(key)
        if found is None:
            return None
        until, verdict = found
        if self._clock() >= until:
            del self._verdicts[key]
            return None
        self._verdicts.move_to_end(key)
        return verdict

    def put(self, key: Key, verdict: Verdict, ttl_seconds: float) -> None:
        """Keep a verdict; 0 seconds keep nothing."""
        if ttl_seconds <= 0:
            return
        self._verdicts[key] = self._clock() + ttl_seconds, verdict
        self._verdicts.move_to_end(key)
        if len(self._verdicts) > MOST_VERDICTS:
            self._verdicts.popitem(last=False)
