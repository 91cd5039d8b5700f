"""A published version with SnapStart is initialised by a worker before it can be called."""

from __future__ import annotations

from broker.invocation import Invocation, new_request_id, now_ms
from broker.registry.model import FunctionConfig, FunctionRecord
from gateway.lambda_api.context import Context

MOST_SECONDS = 3600
"""Without any worker for so long, nobody waits any more; publishing again asks again."""


async def initialize(context: Context, record: FunctionRecord, config: FunctionConfig) -> None:
    """Have a version initialised that waits for it; does nothing for others.

    Lasting: the request survives a crash. Asking for a version twice is harmless. Raises BrokerUnavailable.
    """
    if config.state != "Pending" or not config.snap_start:
        return
    now = now_ms()
    await context.broker.publish(
        Invocation(
            request_id=new_request_id(),
            kind="async",
            function_name=record.name,
            version=config.version,
            generation=record.generation,
            invoked_arn=context.names.arn(record.name, config.version),
            payload=b"",
            accepted_ms=now,
            deadline_ms=now + MOST_SECONDS * 1000,
            qualifier=config.version,
            initialize=True,
        )
    )
