"""After the run of an asynchronous invocation: keep its outcome, retry it, or tell its destination."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import assert_never

from broker.destinations import tells
from broker.interface import Delivery, Metric
from broker.invocation import LATEST, Condition, Invocation, Outcome, Sequel, Status, now_ms
from broker.lineage import is_recursive
from broker.registry.model import EventInvokeConfig, FunctionRecord
from broker.retry import (
    GiveUp,
    Retry,
    RetryPolicy,
    after_function_error,
    after_platform_error,
)
from worker.telling import Telling
from worker.verdict import Verdict

log = logging.getLogger(__name__)

_ERROR_BYTES = 2048

MOST_LOSSES = 4
"""A message whose workers died this often takes workers down: it is set aside, whatever it asks for."""


def poison(delivery: Delivery) -> str:
    """What is wrong with a message that takes workers down; empty for all others."""
    return f"{delivery.losses} workers died while they held it" if delivery.losses >= MOST_LOSSES else ""


class Settlement:
    """Ends asynchronous deliveries, each in exactly one of: acknowledged, released, dead-lettered.

    `count` is the broker's."""

    def __init__(
        self, telling: Telling, count: Callable[[Metric, str], None], retry_step_seconds: float
    ) -> None:
        self._telling = telling
        self._count = count
        self._retry_step_seconds = retry_step_seconds

    async def settle(self, delivery: Delivery, verdict: Verdict, function: FunctionRecord | None) -> bool:
        """Act on a verdict; False if the delivery had gone to another worker meanwhile."""
        if not verdict.failure:
            return await self._end(delivery, verdict, function, "Success", delivery.attempt)
        decision = self._decide(delivery, verdict, _config(function, delivery.invocation))
        match decision:
            case Retry(delay_seconds, charge):
                return await delivery.release(delay_seconds, charge=charge)
            case GiveUp(condition):
                return await self._end(delivery, verdict, function, condition, delivery.attempt)
        assert_never(decision)

    async def end_unrun(self, delivery: Delivery, verdict: Verdict, function: FunctionRecord | None) -> bool:
        """End an event that was not run, for the reason that the verdict has."""
        assert verdict.unrun is not None
        if verdict.unrun == "RecursiveInvocation":
            log.warning("recursive_loop_stopped", extra=_about(delivery.invocation))
            self._count("RecursiveInvocationsDropped", delivery.invocation.function_name)
        return await self._end(delivery, verdict, function, verdict.unrun, delivery.attempt - 1)

    async def go_on_telling(self, delivery: Delivery) -> bool:
        """For an invocation that has ended already: its sequel says who is to hear of it."""
        return await self._telling.resume(delivery)

    async def give_up(self, delivery: Delivery, reason: str, verdict: Verdict) -> bool:
        """Set a message aside that nobody can run (poison, function deleted)."""
        return await delivery.dead_letter(_outcome(delivery, verdict, "failed", reason, delivery.attempt - 1))

    def unrun(self, delivery: Delivery, function: FunctionRecord) -> Condition | None:
        """Why an event must not be run (any more): too old, a loop, or its function may not run at all."""
        invocation = delivery.invocation
        if function.recursive_loop == "Terminate" and is_recursive(invocation.trace_header, function.name):
            return "RecursiveInvocation"
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
        function: FunctionRecord | None,
        condition: Condition,
        runs: int,
    ) -> bool:
        status: Status = "succeeded" if condition == "Success" else "failed"
        if condition == "EventAgeExceeded":
            status = "expired"
        outcome = _outcome(delivery, verdict, status, condition, runs)
        config = _config(function, delivery.invocation)
        wanted = tells(function, config, condition) if function else ()
        if wanted:
            response = None if verdict.failure == "Platform" or not runs else verdict.payload
            sequel = Sequel(outcome, condition, wanted, (), response, verdict.failure)
            return await self._telling.begin(delivery, sequel)
        if condition != "Success":
            return await delivery.dead_letter(outcome)
        delivery.ack_lazily(outcome)
        return True


def _config(function: FunctionRecord | None, invocation: Invocation) -> EventInvokeConfig | None:
    return function.event_invoke_configs.get(invocation.qualifier or LATEST) if function else None


def _about(invocation: Invocation) -> dict[str, str]:
    return {"request_id": invocation.request_id, "function": invocation.function_name}


def _age_seconds(invocation: Invocation) -> float:
    return (now_ms() - invocation.accepted_ms) / 1000


def _outcome(delivery: Delivery, verdict: Verdict, status: Status, reason: str, runs: int) -> Outcome:
    error = verdict.payload[:_ERROR_BYTES].decode("utf-8", "replace") if verdict.failure else ""
    return outcome_of(delivery, status, reason, runs, error)


def outcome_of(delivery: Delivery, status: Status, reason: str, runs: int, error: str = "") -> Outcome:
    """How a delivery ends now, after so many runs of its function."""
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
        error=error,
    )
