"""Which runtimes functions can be created for: what the fleet's workers can run."""

from __future__ import annotations

from collections.abc import Collection

from broker.interface import IMAGES, Broker
from gateway.lambda_api.errors import invalid_parameter

_NOT_YET = (
    ". No worker can run it yet; on a worker's machine `lightswitch runtimes list` says what is missing."
)


class Runtimes:
    """The runtimes of all alive workers; all that the service model knows while no worker is alive."""

    def __init__(self, broker: Broker, known: Collection[str]) -> None:
        self._broker = broker
        self._known = frozenset(known)

    async def check(self, runtime: str) -> None:
        """Raises ApiError where nobody can run it, with the list of what there is."""
        available = await self._available()
        if runtime not in available:
            raise invalid_parameter(
                f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value"
                f" set: [{', '.join(sorted(available))}] or be a valid ARN"
                f"{_NOT_YET if runtime in self._known else ''}"
            )

    async def check_images(self) -> None:
        """Raises ApiError where workers are alive, but none that can run container images."""
        announced = await self._announced()
        if announced and IMAGES not in announced:
            raise invalid_parameter(
                "PackageType Image needs a worker with isolation L3 or L2, and no worker that is alive has"
                " it; `lightswitch doctor` says on a worker's machine what is missing"
            )

    async def _available(self) -> frozenset[str]:
        return await self._announced() - {IMAGES} or self._known

    async def _announced(self) -> frozenset[str]:
        alive = [worker.runtimes for worker in await self._broker.workers() if worker.alive]
        return frozenset(runtime for runtimes in alive for runtime in runtimes)
