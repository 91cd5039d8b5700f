"""A synthetic trace with the published shape of Azure Functions' calls in 2019.

After the figures in Shahrad et al., "Serverless in the Wild" (USENIX ATC 2020): 45% of the applications are
called once an hour or less, 81% once a minute or less, and the 18.6% above make 99.6% of all calls (figure
5). The times between calls are those of timers for some (coefficient of variation near 0), of a Poisson
process for some (near 1), and burstier for many (above 1, figure 6). Half of the functions run for less
than a second (figure 7); half of the applications take at most 170 MB, nine of ten at most 400 MB (figure
8). The shares of the three patterns, 30, 30 and 40%, are an assumption near figure 6. Nothing of the trace
itself is here; a seed makes this one the same each time.

The most popular are cut at `MOST_PER_MINUTE`, because they are always warm: that leaves out most calls,
none of the cold starts. So percentages of calls say little here; compare counts.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

DAY_SECONDS = 86_400.0
MOST_PER_MINUTE = 4.0
Pattern = Literal["timer", "poisson", "bursty"]


@dataclass(frozen=True, slots=True)
class TracedFunction:
    """How a function is called, and what a run takes."""

    name: str
    pattern: Pattern
    gap_seconds: float
    """Mean time between calls."""
    run_seconds: float
    memory_mb: int


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """One call in time."""

    at: float
    function: int


def functions(count: int, seed: int) -> list[TracedFunction]:
    """So many functions with popularities, patterns, durations and memory as published."""
    random_ = random.Random(seed)
    return [_function(number, random_) for number in range(count)]


def calls(made: list[TracedFunction], seconds: float, seed: int) -> Iterator[Call]:
    """All calls in the order of time."""
    streams = [
        _calls_of(number, function, seconds, random.Random(f"{seed}/{number}"))
        for number, function in enumerate(made)
    ]
    return heapq.merge(*streams)


def _function(number: int, random_: random.Random) -> TracedFunction:
    popularity, kind = random_.random(), random_.random()
    pattern: Pattern = "timer" if kind < 0.3 else "poisson" if kind < 0.6 else "bursty"
    return TracedFunction(
        f"f{number}",
        pattern,
        _gap_seconds(popularity, random_),
        min(60.0, random_.lognormvariate(math.log(0.7), 1.4)),
        _memory_mb(random_),
    )


def _gap_seconds(popularity: float, random_: random.Random) -> float:
    """Log-uniform between the published marks: a day or more, an hour, a minute, and below."""
    if popularity < 0.45:
        return 3600.0 * math.pow(48.0, random_.random())
    if popularity < 0.81:
        return 60.0 * math.pow(60.0, random_.random())
    return 60.0 / math.pow(MOST_PER_MINUTE, random_.random())


def _memory_mb(random_: random.Random) -> int:
    """Lognormal with the published median and ninth decile."""
    return max(128, min(3008, round(random_.lognormvariate(math.log(170), math.log(400 / 170) / 1.2816))))


def _calls_of(
    number: int, function: TracedFunction, seconds: float, random_: random.Random
) -> Iterator[Call]:
    at = random_.random() * function.gap_seconds
    while at < seconds:
        yield Call(at, number)
        at += _next_gap(function, random_)


def _next_gap(function: TracedFunction, random_: random.Random) -> float:
    mean = function.gap_seconds
    if function.pattern == "timer":
        return mean * random_.uniform(0.995, 1.005)
    if function.pattern == "poisson":
        return random_.expovariate(1 / mean)
    # Bursts of ten calls, a tenth of the mean apart on average, then the rest of the time nothing.
    if random_.random() < 0.9:
        return random_.expovariate(10 / mean)
    return random_.expovariate(1 / (mean * 9.1))
