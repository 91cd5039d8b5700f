"""When an idle environment's time is over, and when its function's next call is expected."""

from __future__ import annotations

from worker.environments.fleet import Fleet, Place
from worker.environments.keep_alive import KeepAlive, Windows


class Aging:
    """Applies a policy to idle environments."""

    def __init__(self, keep_alive: KeepAlive) -> None:
        self._keep_alive = keep_alive

    def is_over(self, place: Place, now: float) -> bool:
        """Whether it is to be stopped now; its fleet's `load_at` is set where one is to be loaded later."""
        fleet = place.fleet
        windows = self._windows(fleet)
        if now - place.idle_since <= _stays_seconds(place, windows):
            return False
        if windows.load_after_seconds and not place.preloaded:
            fleet.load_at = place.idle_since + windows.load_after_seconds
        return True

    def _windows(self, fleet: Fleet) -> Windows:
        """Deciding takes a hundred microseconds: only once the history has grown by a twentieth."""
        history = fleet.history
        if fleet.windows is None or history.seen >= fleet.decide_again_at:
            fleet.windows = self._keep_alive.windows(history, fleet.spec.memory_mb)
            fleet.decide_again_at = history.seen + history.seen // 20 + 1
        return fleet.windows


def _stays_seconds(place: Place, windows: Windows) -> float:
    """One that was loaded for an expected call waits as long as it may come."""
    return max(windows.keep_seconds, windows.loaded_until_seconds if place.preloaded else 0.0)
