"""After the run of an asynchronous invocation: keep its outcome, retry it, or tell its destination."""

from __future__ import annotations

import logging
from typing import assert_never

from broker.destinations import MOST_HOPS, destination, follow_up, function_of, record
from broker.errors import FunctionNotFound
from broker.interface import Delivery
from broker.invocation import LATEST, Invocation, Outcome, Status, now_ms
from broker.registry.interface import Registry
from broker.registry.model import EventInvokeConfig, FunctionRecord
from broker.retry import (
    Condition,
    GiveUp,
    Retry,
    RetryPolicy,
    after_function_error,
    after_platform_error,
)
from worker.verdict import Verdict

log = logging.getLogger(__name__)

_ERROR_BYTES = 2048


class Settlement:
    """Ends asynchronous deliveries, each in exactly one of: acknowledged, released, dead-lettered."""

    def __init__(self, registry: Registry, retry_step_seconds: float) -> None:
        self._registry = registry
        self._retry_step_seconds = retry_step_seconds

    async def settle(self, delivery: Delivery, verdict: Verdict, function: FunctionRecord | None) -> bool:
        """Act on a verdict; False if the delivery had gone to another worker meanwhile."""
        config = _config(function, delivery.invocation)
        if not verdict.failure:
            return await self._end(delivery, verdict, config, "Success", delivery.attempt)
        decision = self._decide(delivery, verdict, config)
        match decision:
            case Retry(delay_seconds, charge):
                return await delivery.release(delay_seconds, charge=charge)
            case GiveUp(condition):
                return await self._end(delivery, verdict, config, condition, delivery.attempt)
        assert_never(decision)

    async def end_unrun(self, delivery: Delivery, verdict: Verdict, function: FunctionRecord | None) -> bool:
        """End an event for which `unrun` gave a reason (the verdict's error type)."""
        config = _config(function, delivery.invocation)
        condition: Condition = (
            "EventAgeExceeded" if verdict.error_type == "EventAgeExceeded" else "ZeroReservedConcurrency"
        )
        return await self._end(delivery, verdict, config, condition, delivery.attempt - 1)

    async def give_up(self, delivery: Delivery, reason: str, verdict: Verdict) -> bool:
        """Set a message aside that nobody can run (poison, function deleted)."""
        return await delivery.dead_letter(_outcome(delivery, verdict, "failed", reason, delivery.attempt - 1))

    def unrun(self, delivery: Delivery, function: FunctionRecord) -> Condition | None:
        """Why an event must not be run (any more): too old, or its function may not run at all."""
        if function.reserved_concurrency == 0:
            return "ZeroReservedConcurrency"
        policy = RetryPolicy.of(_config(function, delivery.invocation), self._retry_step_seconds)
        return "EventAgeExceeded" if _age_seconds(delivery.invocation) > policy.event_age_seconds else None

    def _decide(
        self, delivery: Delivery, verdict: Verdict, config: EventInvokeConfig | None
    ) -> Retry | GiveUp:
        policy = RetryPolicy.of(config, self._retry_step_seconds)
        age_seconds = _age_seconds(delivery.invocation)
        if verdict.failure == "Platform":
            return after_platform_error(delivery.deliveries, age_seconds, policy)
        return after_function_error(delivery.attempt, age_seconds, policy)

    async def _end(
        self,
        delivery: Delivery,
        verdict: Verdict,
        config: EventInvokeConfig | None,
        condition: Condition,
        runs: int,
    ) -> bool:
        status: Status = "succeeded" if condition == "Success" else "failed"
        if condition == "EventAgeExceeded":
            status = "expired"
        arn = destination(config, condition)
        told = await self._tell(delivery, verdict, condition, runs, arn) if arn else None
        outcome = _outcome(delivery, verdict, status, condition, runs, arn if told else "")
        if status != "succeeded" and told is None:
            return await delivery.dead_letter(outcome)
        if told is None:
            delivery.ack_lazily(outcome)
            return True
        return await delivery.ack(outcome, then=[told])

    async def _tell(
        self, delivery: Delivery, verdict: Verdict, condition: Condition, runs: int, arn: str
    ) -> Invocation | None:
        """The invocation of the destination function; None where it cannot be told."""
        cause = delivery.invocation
        if cause.hops >= MOST_HOPS:
            log.warning("destination_chain_too_long", extra={"destination": arn, "hops": cause.hops})
            return None
        try:
            target = await self._registry.get(function_of(arn))
        except FunctionNotFound:
            log.warning("destination_missing", extra={"destination": arn, "request_id": cause.request_id})
            return None
        response = None if verdict.failure == "Platform" else verdict.payload
        return follow_up(cause, target, arn, record(cause, condition, runs, response, verdict.failure))


def _config(function: FunctionRecord | None, invocation: Invocation) -> EventInvokeConfig | None:
    return function.event_invoke_configs.get(invocation.qualifier or LATEST) if function else None


def _age_seconds(invocation: Invocation) -> float:
    return (now_ms() - invocation.accepted_ms) / 1000


def _outcome(
    delivery: Delivery, verdict: Verdict, status: Status, reason: str, runs: int, dead_letter: str = ""
) -> Outcome:
    invocation = delivery.invocation
    return Outcome(
        request_id=invocation.request_id,
        function_name=invocation.function_name,
        version=invocation.version,
        status=status,
        attempts=runs,
        deliveries=delivery.deliveries,
        finished_ms=now_ms(),
        reason=reason,
        error=verdict.payload[:_ERROR_BYTES].decode("utf-8", "replace") if verdict.failure else "",
        dead_letter=dead_letter,
    )
