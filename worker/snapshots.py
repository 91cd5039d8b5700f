"""A published version with SnapStart: initialise it once, then say in the registry that it can be called."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from broker.errors import BrokerError, BrokerUnavailable, FunctionNotFound
from broker.interface import Delivery
from broker.invocation import Outcome, Status, now_ms
from broker.registry import changes
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

log = logging.getLogger(__name__)

AFTER_RESTORE_ERROR = "Runtime.AfterRestoreError"
MOST_DELIVERIES = 3
"""So often workers try what fails for a reason of ours."""
RETRY_SECONDS = 5.0

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
        the first call. Raises BrokerUnavailable."""
        try:
            function = await self._functions.resolve(delivery.invocation)
            place = await self._pool.acquire(function.key, function.spec)
        except FunctionNotFound:
            await self._end(delivery, "failed", "FunctionNotFound")
        except NotStarted as error:
            await self._judge(delivery, error.failure)
        except BrokerUnavailable:
            raise
        except (BrokerError, NoRoom, OSError) as error:
            await self._try_again(delivery, str(error))
        else:
            self._pool.release(place)
            await self._succeed(delivery)

    async def _judge(self, delivery: Delivery, failure: InitFailed) -> None:
        if failure.error_type == AFTER_RESTORE_ERROR:
            # The snapshot is there; restoring is what goes wrong, each time.
            await self._succeed(delivery)
        elif failure.error_type == PLATFORM_ERROR:
            await self._try_again(delivery, _reason(failure))
        else:
            await self._fail(delivery, _reason(failure), CODES.get(failure.error_type))

    async def _succeed(self, delivery: Delivery) -> None:
        await self._note(delivery, changes.snapshot_taken)
        await self._end(delivery, "succeeded", "Success")

    async def _try_again(self, delivery: Delivery, reason: str) -> None:
        log.error("not_initialized", extra={"function": delivery.invocation.function_name, "reason": reason})
        if delivery.deliveries < MOST_DELIVERIES:
            await delivery.release(RETRY_SECONDS, charge=False)
        else:
            await self._fail(delivery, reason, "InternalError")

    async def _fail(self, delivery: Delivery, reason: str, code: str | None) -> None:
        def change(record: FunctionRecord, version: str) -> FunctionRecord:
            return changes.snapshot_failed(record, version, reason, code or "FunctionError")

        await self._note(delivery, change)
        await self._end(delivery, "failed", reason)

    async def _note(self, delivery: Delivery, change: _Change) -> None:
        invocation = delivery.invocation
        try:
            await self._registry.update(
                invocation.function_name, lambda record: change(record, invocation.version)
            )
        except FunctionNotFound:
            return  # deleted meanwhile

    async def _end(self, delivery: Delivery, status: Status, reason: str) -> None:
        invocation = delivery.invocation
        outcome = Outcome(
            request_id=invocation.request_id,
            function_name=invocation.function_name,
            version=invocation.version,
            status=status,
            attempts=0,
            deliveries=delivery.deliveries,
            finished_ms=now_ms(),
            reason=reason,
        )
        await delivery.ack(outcome)


def _reason(failure: InitFailed) -> str:
    document = msgspec.json.decode(failure.document)
    return f"{failure.error_type}: {document.get('errorMessage', '')}"
