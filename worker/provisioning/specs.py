"""Finds what is to be provisioned, its code included, while the keeper goes on announcing this worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from broker.cancellation import end
from broker.errors import BrokerError
from broker.registry.provisioned import Demand
from worker.environments.interface import EnvironmentSpec
from worker.functions import Functions

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.5
"""How long a turn waits for code; far shorter than others believe in a worker that says nothing."""


class Specs:
    """One search for each demand, at most. Close it."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self._searches: dict[str, asyncio.Task[EnvironmentSpec | None]] = {}

    async def find(self, wanted: Sequence[Demand]) -> Mapping[str, EnvironmentSpec]:
        """By the demands' keys, as many as are found soon. Others are there when asked for later; what is not
        to be had just now is looked for again then."""
        for demand in wanted:
            if demand.key not in self._searches:
                search = asyncio.create_task(self._search(demand), name=f"find {demand.key}")
                self._searches[demand.key] = search
        if wanted:
            searches = [self._searches[demand.key] for demand in wanted]
            await asyncio.wait(searches, timeout=PATIENCE_SECONDS)
        ended = [key for key, search in self._searches.items() if search.done()]
        specs = {key: self._searches.pop(key).result() for key in ended}
        return {key: spec for key, spec in specs.items() if spec is not None}

    async def aclose(self) -> None:
        """Give up what is being looked for."""
        while self._searches:
            _, search = self._searches.popitem()
            await end(search)

    async def _search(self, demand: Demand) -> EnvironmentSpec | None:
        """None where the function, or its code, is not to be had just now; the log says which."""
        try:
            function = await self._functions.find(demand.function_name, demand.config.version)
        except (BrokerError, OSError) as error:
            log.warning("not_provisioned", extra={"function": demand.key, "reason": str(error)})
            return None
        return function.spec if function.key == demand.key else None
