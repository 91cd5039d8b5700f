"""A neighbour of what is attacked: is it as fast as before?"""

from __future__ import annotations

from collections.abc import Sequence

TRIES = 3
"""Other programs can only slow a neighbour down: what one try shows to do no harm does none."""

CALM_CALLS = 60
LEAST_CALLS = 60
"""Made during an attack, and after it where it is over sooner."""

SLACK_SECONDS = 0.02
"""Beyond twice the calm p99: so much the scheduler of a busy machine takes from a call now and then."""


def p99(seconds: Sequence[float]) -> float:
    """Of so few calls it is nearly the slowest."""
    return sorted(seconds)[int(len(seconds) * 0.99)]


def is_undisturbed(calm: Sequence[float], attacked: Sequence[float]) -> bool:
    """The p99 at most doubles."""
    return p99(attacked) <= 2 * p99(calm) + SLACK_SECONDS
