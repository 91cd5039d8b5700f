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
"""Changes within this are told in one word: the broker counts what it sends by itself. An environment that is
free again is told at once, before the caller has his reply: the call that he then makes must find it."""


class Offers:
    """Listens to what the pool has available of each demand."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._noted: dict[tuple[str, str], int] = {}
        self._changed: set[tuple[str, str]] = set()
        self._timer: asyncio.Handle | None = None
        self._soon = False

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
        before, now = self._noted.get(version, 0), WITHDRAWN if provision is None else provision.offered
        self._noted[version] = now
        self._changed.add(version)
        self._tell_later(soon=now > before)

    def _tell_later(self, *, soon: bool) -> None:
        if self._timer is not None:
            if self._soon or not soon:
                return
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._soon = soon
        self._timer = loop.call_soon(self._tell) if soon else loop.call_later(TOGETHER_SECONDS, self._tell)

    def _tell(self) -> None:
        self._timer = None
        changed, self._changed = self._changed, set()
        self._offer({version: self._noted[version] for version in changed})
        for version in changed:
            if self._noted[version] == WITHDRAWN:
                del self._noted[version]
