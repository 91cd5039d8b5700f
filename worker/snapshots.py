"""A published version with SnapStart: initialise it once, then say in the registry that it can be called."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from broker.errors import BrokerError, BrokerUnavailable, FunctionNotFound
from broker.interface import Delivery
from broker.invocation import Outcome
from broker.registry import version_changes
from broker.registry.interface import Registry
from broker.registry.model import FunctionRecord
from worker.environments.error_documents import (
    EXIT_ERROR,
    INVALID_ENTRYPOINT,
    PLATFORM_ERROR,
    TIMED_OUT,
)
from worker.environments.interface import InitFailed
from worker.environments.pool import Pool
from worker.environments.room import NoRoom
from worker.environments.turnover import NotStarted
from worker.functions import Functions
from worker.settlement import outcome_of, poison

log = logging.getLogger(__name__)

AFTER_RESTORE_ERROR = "Runtime.AfterRestoreError"
MOST_ATTEMPTS = 3
"""So often workers try what fails for a reason of ours; an outage of Redis is no attempt."""
RETRY_SECONDS = 5.0

FUNCTION_ERROR, INTERNAL_ERROR = "FunctionError", "InternalError"
CODES = {
    TIMED_OUT: "FunctionError.InitTimeout",
    EXIT_ERROR: "FunctionError.RuntimeInitError",
    INVALID_ENTRYPOINT: "FunctionError.InvalidEntryPoint",
}
"""AWS's StateReasonCode for what ended an initialisation; any other is the function's own error."""


_Change = Callable[[FunctionRecord, str], FunctionRecord]
"""From an aggregate and a version to the next aggregate."""


class Snapshots:
    """Takes those that deliveries ask for."""

    def __init__(self, functions: Functions, pool: Pool, registry: Registry) -> None:
        self._functions = functions
        self._pool = pool
        self._registry = registry

    async def take(self, delivery: Delivery) -> None:
        """Initialise the version, make it active or failed, settle the delivery. The environment stays, for
        the first call. Raises BrokerUnavailable where the delivery cannot be settled."""
        try:
            ending = await self._ending(delivery)
        except BrokerUnavailable as error:
            # Nobody else would get it while this worker lives and holds it.
            log.warning("snapshot_waits", extra=_about(delivery, str(error)))
            await delivery.release(RETRY_SECONDS, charge=False)
            return
        if ending is None:
            await delivery.release(RETRY_SECONDS, charge=True)
        else:
            await delivery.ack(ending)

    async def _ending(self, delivery: Delivery) -> Outcome | None:
        """How it ended, after the registry knows; None where it is to be tried again."""
        if reason := poison(delivery):
            return await self._fail(delivery, reason, INTERNAL_ERROR)
        try:
            function = await self._functions.resolve(delivery.invocation)
            place = await self._pool.acquire(function.key, function.spec)
        except FunctionNotFound:
            return outcome_of(delivery, "failed", "FunctionNotFound", 0)
        except NotStarted as error:
            return await self._judge(delivery, error.failure)
        except BrokerUnavailable:
            raise
        except (BrokerError, NoRoom, OSError) as error:
            return await self._try_again(delivery, str(error))
        self._pool.release(place)
        return await self._succeed(delivery)

    async def _judge(self, delivery: Delivery, failure: InitFailed) -> Outcome | None:
        if failure.error_type == AFTER_RESTORE_ERROR:
            # The snapshot is there; restoring is what goes wrong, each time.
            return await self._succeed(delivery)
        if failure.error_type == PLATFORM_ERROR:
            return await self._try_again(delivery, _reason(failure))
        return await self._fail(delivery, _reason(failure), CODES.get(failure.error_type, FUNCTION_ERROR))

    async def _succeed(self, delivery: Delivery) -> Outcome:
        await self._note(delivery, version_changes.snapshot_taken)
        return outcome_of(delivery, "succeeded", "Success", 0)

    async def _try_again(self, delivery: Delivery, reason: str) -> Outcome | None:
        log.error("not_initialized", extra=_about(delivery, reason))
        if delivery.attempt < MOST_ATTEMPTS:
            return None
        return await self._fail(delivery, reason, INTERNAL_ERROR)

    async def _fail(self, delivery: Delivery, reason: str, code: str) -> Outcome:
        def change(record: FunctionRecord, version: str) -> FunctionRecord:
            return version_changes.snapshot_failed(record, version, reason, code)

        await self._note(delivery, change)
        return outcome_of(delivery, "failed", reason, 0)

    async def _note(self, delivery: Delivery, change: _Change) -> None:
        invocation = delivery.invocation
        try:
            await self._registry.update(
                invocation.function_name, lambda record: change(record, invocation.version)
            )
        except FunctionNotFound:
            return  # deleted meanwhile


def _about(delivery: Delivery, reason: str) -> dict[str, str]:
    return {"function": delivery.invocation.function_name, "reason": reason}


def _reason(failure: InitFailed) -> str:
    document = msgspec.json.decode(failure.document)
    return f"{failure.error_type}: {document.get('errorMessage', '')}"
