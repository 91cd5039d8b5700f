"""How many environments of a configuration are kept initialised, and how many are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.environments.fleet import Place


@dataclass(slots=True)
class Provision:
    """A fleet's part of provisioned concurrency. None of it is stopped for being idle, or to make room."""

    count: int = 0
    """As many are wanted."""
    live: int = 0
    """In any state, starting and busy ones included."""
    starting: int = 0
    idle: list[Place] = field(default_factory=list)
    """Most recently used last."""
    leaving: int = 0
    """So many are about to be given up, and are offered to nobody any more."""
    on_change: Callable[[], None] | None = None
    """Called when `available` has changed."""
    failure: Exception | None = None
    """Why the last start failed; nothing is started until somebody sets it back to None."""

    def changed(self) -> None:
        """Tell who listens."""
        if self.on_change is not None:
            self.on_change()

    @property
    def initialised(self) -> int:
        return self.live - self.starting

    @property
    def available(self) -> int:
        """Initialised, and without work."""
        return len(self.idle)

    @property
    def offered(self) -> int:
        """How many calls may be sent here for them."""
        return max(0, self.available - self.leaving)

    @property
    def lacks_some(self) -> bool:
        """Whether one more is to be started now."""
        return self.live < self.count and self.failure is None

    @property
    def has_too_many(self) -> bool:
        return self.live > self.count
