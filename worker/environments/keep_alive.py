"""How long an idle environment stays: fixed, or by what is known of its function's calls.

As in the hybrid histogram policy of Shahrad et al., "Serverless in the Wild" (USENIX ATC 2020), each
function has a histogram of its idle times, from which follow how long an environment stays and when one is
loaded ahead of the next call; while too little is known, it stays as long as all do. Where the paper takes
fixed percentiles of the histogram, this asks what each minute is worth: how many calls have come in it,
beside how many environments would have to wait through it and how large they are. Over a synthetic trace
with the paper's shape, percentiles spared no more cold starts than a longer fixed time of the same memory;
this does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from worker.environments.idle_times import MINUTES, IdleTimes

FIXED_SECONDS = 600.0
MOST_FUNCTIONS = 4096
"""A kilobyte is remembered of each."""


@dataclass(frozen=True, slots=True)
class Windows:
    """`keep_seconds` after it fell idle an environment is stopped. With `load_after_seconds` above 0 one is
    loaded again so long after the last run, which stays until `loaded_until_seconds` after it."""

    keep_seconds: float
    load_after_seconds: float = 0.0
    loaded_until_seconds: float = 0.0


class KeepAlive(Protocol):
    """A policy."""

    def history(self, function: str) -> IdleTimes:
        """Where the idle times of a function are counted."""

    def windows(self, history: IdleTimes, memory_mb: int) -> Windows:
        """What follows from them for an environment of that size."""


class FixedKeepAlive:
    """The same for all."""

    def __init__(self, seconds: float = FIXED_SECONDS) -> None:
        self._windows = Windows(seconds)

    def history(self, function: str) -> IdleTimes:
        return IdleTimes()

    def windows(self, history: IdleTimes, memory_mb: int) -> Windows:
        return self._windows


@dataclass(frozen=True, slots=True)
class Adaptation:
    """The knobs of the adaptive policy."""

    enough: int = 5
    """Idle times that must be known."""
    gb_minutes_per_cold_start: float = 2.5
    """Memory-time that is spent to spare one cold start."""
    load_cost: float = 0.25
    """What a start ahead of a call costs, in cold starts."""
    margin: float = 0.05
    """By which windows are wider than what was seen, at both ends."""
    otherwise: Windows = Windows(FIXED_SECONDS)
    """While too little is known."""
    shortest_keep_seconds: float = 30.0


class AdaptiveKeepAlive:
    """By each function's own history; of the functions called least lately, it is forgotten."""

    def __init__(self, adaptation: Adaptation | None = None, most_functions: int = MOST_FUNCTIONS) -> None:
        self._adaptation = adaptation or Adaptation()
        self._most_functions = most_functions
        self._histories: OrderedDict[str, IdleTimes] = OrderedDict()

    def history(self, function: str) -> IdleTimes:
        found = self._histories.get(function)
        if found is None:
            found = self._histories[function] = IdleTimes()
        self._histories.move_to_end(function)
        if len(self._histories) > self._most_functions:
            self._histories.popitem(last=False)
        return found

    def windows(self, history: IdleTimes, memory_mb: int) -> Windows:
        knobs = self._adaptation
        if len(history) < knobs.enough:
            return knobs.otherwise
        waiting = history.waiting()
        price = memory_mb / 1024 / knobs.gb_minutes_per_cold_start
        worth = [count - price * left for count, left in zip(history.counts(), waiting, strict=True)]
        keep = _best_beginning(worth)
        found = _best_stretch(worth, keep, [knobs.load_cost * left for left in waiting])
        keep_seconds = max(knobs.shortest_keep_seconds, 60.0 * keep * (1 + knobs.margin))
        if found is None:
            return Windows(keep_seconds)
        first, end = found
        load_after = max(keep_seconds, 60.0 * first * (1 - knobs.margin))
        return Windows(keep_seconds, load_after, 60.0 * end * (1 + knobs.margin))


def _best_beginning(worth: Sequence[float]) -> int:
    """How many minutes from the start are worth most together; 0 where none is."""
    best, best_sum = 0, 0.0
    for minute, total in enumerate(accumulate(worth)):
        if total > best_sum:
            best, best_sum = minute + 1, total
    return best


def _best_stretch(worth: Sequence[float], start: int, entry: Sequence[float]) -> tuple[int, int] | None:
    """The minutes after `start`, first and end, that are worth most beyond the cost of entering them."""
    best: tuple[int, int] | None = None
    best_sum, total, first = 0.0, 0.0, start
    for minute in range(start, MINUTES):
        if total <= -entry[minute] or minute == start:
            total, first = -entry[minute], minute
        total += worth[minute]
        if total > best_sum:
            best, best_sum = (first, minute + 1), total
    return best
