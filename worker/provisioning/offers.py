"""Tells the broker which provisioned environments have no work: calls then find a worker that has one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from broker.registry.provisioned import Demand
from worker.environments.provision import Provision

Offer = Callable[[Mapping[tuple[str, str], int]], None]
"""As `broker.interface.Consumer.offer`."""

WITHDRAWN = -1

TOGETHER_SECONDS = 0.002
"""Changes within this are told in one word; meanwhile the broker counts by itself."""


class Offers:
    """Listens to what the pool has available of each demand."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._changed: dict[tuple[str, str], Provision | None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def follow(self, demand: Demand, provision: Provision) -> None:
        """Say what there is now, and from now on whenever it changes. To be called again now and then."""
        version = demand.function_name, demand.config.version
        provision.on_change = partial(self._note, version, provision)
        self._note(version, provision)

    def drop(self, demand: Demand, provision: Provision) -> None:
        """Listen no more, and offer none of it."""
        if provision.on_change is not None:
            provision.on_change = None
            self._note((demand.function_name, demand.config.version), None)

    def _note(self, version: tuple[str, str], provision: Provision | None) -> None:
        self._changed[version] = provision
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TOGETHER_SECONDS, self._tell)

    def _tell(self) -> None:
        self._timer = None
        changed, self._changed = self._changed, {}
        self._offer(
            {
                version: WITHDRAWN if provision is None else provision.offered
                for version, provision in changed.items()
            }
        )
