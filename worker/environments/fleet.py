"""The environments of one function version in one configuration, and the invocations that wait for them."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from worker.environments.idle_times import IdleTimes
from worker.environments.interface import Environment, EnvironmentSpec
from worker.environments.keep_alive import Windows
from worker.environments.provision import Provision
from worker.environments.shortest_run import ShortestRun
from worker.journal import Journal


@dataclass(slots=True, eq=False)
class Place:
    """An environment with its journal. `fresh` until its first run has reported the init time.

    One that is `provisioned` was initialised before anybody asked, and belongs to its fleet's `provision`.
    """

    environment: Environment
    journal: Journal
    fleet: Fleet
    fresh: bool = True
    idle_since: float = 0.0
    provisioned: bool = False
    preloaded: bool = False
    """Loaded because a call is expected, and not used yet; idle since the function's last run."""

    @property
    def shelf(self) -> list[Place]:
        """Where it stands while it is idle."""
        return self.fleet.provision.idle if self.provisioned else self.fleet.idle


@dataclass(slots=True, eq=False)
class Fleet:
    """All that one configuration has on this worker."""

    key: str
    spec: EnvironmentSpec
    idle: list[Place] = field(default_factory=list)
    """Most recently used last."""
    waiting: deque[asyncio.Future[Place]] = field(default_factory=deque)
    patient: deque[tuple[float, asyncio.Future[Place]]] = field(default_factory=deque)
    """Those who wait for a busy environment, and since when."""
    ended: int = 0
    """How many runs have ended."""
    runs: ShortestRun = field(default_factory=ShortestRun)
    starting: int = 0
    live: int = 0
    """Environments in any state, starting and busy ones included."""
    retired: bool = False
    provision: Provision = field(default_factory=Provision)
    history: IdleTimes = field(default_factory=IdleTimes)
    windows: Windows | None = None
    """What follows from the history, as long as it has not grown much since."""
    decide_again_at: int = 0
    load_at: float | None = None
    """When an environment is to be loaded for the call that is expected then."""

    @property
    def wants_more(self) -> bool:
        """Whether more invocations wait than environments start."""
        return self.starting < len(self.waiting)

    @property
    def busy(self) -> int:
        return self.live - self.starting - len(self.idle) - len(self.provision.idle)

    @property
    def is_deserted(self) -> bool:
        """Nothing lives here, nobody waits and nothing is to come."""
        someone = self.live or self.waiting or self.patient
        return not (someone or self.provision.count or self.load_at is not None)

    def next_waiting(self) -> asyncio.Future[Place] | None:
        """The invocation that has waited longest, if any still waits."""
        while self.waiting:
            future = self.waiting.popleft()
            if not future.done():
                return future
        while self.patient:
            _, future = self.patient.popleft()
            if not future.done():
                return future
        return None
