"""One delivery from its arrival to its settlement."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from msgspec.structs import replace

from broker.errors import BrokerError, BrokerUnavailable, FunctionNotFound
from broker.interface import Broker, Delivery
from broker.invocation import Invocation, Reply, now_ms
from broker.lineage import counted
from worker.environments.fleet import Place
from worker.environments.interface import NotRun, RunOutcome, Work
from worker.environments.pool import Pool
from worker.environments.room import NoRoom
from worker.environments.turnover import NotStarted
from worker.functions import Function, Functions
from worker.metering import Usage, restore_line
from worker.run_tracing import RunTracing
from worker.settlement import Settlement, poison
from worker.snapshots import Snapshots
from worker.streamed_response import StreamedResponse
from worker.telemetry.phases import run_status
from worker.verdict import Verdict, of_failed_init, of_platform, of_run, of_unrun

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a delivery's run went. `rest` lasts until extensions have done with it, too."""

    verdict: Verdict
    function: Function | None = None
    rest: asyncio.Task[bytes] | None = None


class Executor:
    """Runs deliveries; each call of `execute` handles one and settles it, whatever happens."""

    def __init__(
        self,
        broker: Broker,
        functions: Functions,
        pool: Pool,
        settlement: Settlement,
        tracing: RunTracing,
        snapshots: Snapshots,
    ) -> None:
        self._broker = broker
        self._functions = functions
        self._pool = pool
        self._settlement = settlement
        self._tracing = tracing
        self._snapshots = snapshots

    async def execute(self, delivery: Delivery) -> None:
        """Run the delivery and settle it. Cancelled (drain is over): hand it back and stop its run.

        Lasts until extensions, too, have done with the run, long after it was answered."""
        rest = await self._execute(delivery)
        if rest is not None:
            await rest

    async def _execute(self, delivery: Delivery) -> asyncio.Task[bytes] | None:
        try:
            if delivery.invocation.kind == "async":
                return await self._execute_async(delivery)
            return await self._execute_sync(delivery)
        except asyncio.CancelledError:
            await asyncio.shield(self._hand_back(delivery))
            raise
        except BrokerUnavailable as error:
            # Its settlement was tried for long. A renewal of the lease finds it ours, and it is run again,
            # or it is another worker's.
            log.error(
                "not_settled", extra={"request_id": delivery.invocation.request_id, "reason": str(error)}
            )
        except Exception:
            log.critical(
                "execution_failed", extra={"request_id": delivery.invocation.request_id}, exc_info=True
            )
            await self._fail(delivery)
        return None

    async def _execute_sync(self, delivery: Delivery) -> asyncio.Task[bytes] | None:
        invocation = delivery.invocation
        if now_ms() >= invocation.deadline_ms:
            await delivery.ack()
            return None
        sink = StreamedResponse(self._broker, invocation) if invocation.takes_stream else None
        ran = await self._run(delivery, sink)
        function = ran.function
        if function is not None and function.record.reserved_concurrency is not None:
            # Whoever calls again as soon as it is answered must find the slot free.
            await delivery.ack()
            await self._answer(invocation, ran.verdict, sink)
        else:
            await self._answer(invocation, ran.verdict, sink)
            delivery.ack_lazily()
        return ran.rest

    async def _execute_async(self, delivery: Delivery) -> asyncio.Task[bytes] | None:
        if delivery.invocation.sequel is not None:
            await self._settlement.go_on_telling(delivery)
            return None
        if delivery.invocation.initialize:
            await self._snapshots.take(delivery)
            return None
        if reason := poison(delivery):
            await self._settlement.give_up(delivery, "WorkersLost", of_platform(reason))
            return None
        ran = await self._run(delivery)
        verdict = ran.verdict
        record = ran.function.record if ran.function else None
        if record is None and verdict.error_type == "ResourceNotFoundException":
            await self._settlement.give_up(delivery, "FunctionNotFound", verdict)
        elif verdict.unrun:
            await self._settlement.end_unrun(delivery, verdict, record)
        else:
            await self._settlement.settle(delivery, verdict, record)
        return ran.rest

    async def _run(self, delivery: Delivery, sink: StreamedResponse | None = None) -> Ran:
        invocation = delivery.invocation
        received_ns = self._tracing.now_ns()
        function: Function | None = None
        try:
            function = await self._functions.resolve(invocation)
            if invocation.kind == "async" and (unrun := self._settlement.unrun(delivery, function.record)):
                return Ran(of_unrun(unrun), function)
            return await self._run_somewhere(function, delivery, received_ns, sink)
        except NotStarted as error:
            return Ran(_not_started(error, invocation), function)
        except FunctionNotFound as error:
            return Ran(Verdict(str(error).encode(), "Platform", "ResourceNotFoundException"))
        except (BrokerError, NoRoom, OSError) as error:
            log.error("not_run", extra={"request_id": invocation.request_id, "reason": str(error)})
            return Ran(of_platform(str(error)), function)

    async def _run_somewhere(
        self, function: Function, delivery: Delivery, received_ns: int, sink: StreamedResponse | None
    ) -> Ran:
        while True:
            place = await self._pool.acquire(function.key, function.spec)
            delivery.placed()
            try:
                return await self._run_in(place, function, delivery.invocation, received_ns, sink)
            except NotRun:
                continue  # it had died unnoticed: the next one

    async def _run_in(
        self,
        place: Place,
        function: Function,
        invocation: Invocation,
        received_ns: int,
        sink: StreamedResponse | None,
    ) -> Ran:
        spec, journal = function.spec, place.journal
        request_id = invocation.request_id
        start_ms = place.environment.init_duration_ms if place.fresh else 0.0
        init_ms, restore_ms = (0.0, start_ms) if spec.snap_start else (start_ms, 0.0)
        fresh, place.fresh = place.fresh, False
        if restore_ms:
            journal.note(restore_line(restore_ms))
        journal.begin(request_id, spec.version, keep_tail=invocation.log_tail)
        started_ns = self._tracing.now_ns()
        work = Work(
            request_id,
            invocation.payload,
            now_ms() + spec.timeout_seconds * 1000,
            invocation.invoked_arn,
            counted(invocation.trace_header, spec.function_name),
            invocation.client_context,
            sink,
        )
        run_ms: float | None = None
        unfinished = False
        try:
            result = await place.environment.run(work)
            run_ms, unfinished = result.own_ms or result.duration_ms, result.unfinished
        finally:
            if not unfinished:
                self._pool.release(place, run_ms)
        verdict = of_run(request_id, result.outcome)
        if verdict.log_note:
            journal.note(verdict.log_note)
        usage = Usage(result.duration_ms, init_ms, spec.memory_mb, result.max_memory_used_mb, restore_ms)
        rest: asyncio.Task[bytes] | None = None
        tail = b""
        if unfinished:
            rest = asyncio.create_task(
                self._rest(place, request_id, usage, result.outcome), name=f"rest-{request_id}"
            )
            if invocation.log_tail:
                tail = await rest
        else:
            tail = journal.end(request_id, usage, *run_status(result.outcome))
            place.environment.report(request_id, usage, result.outcome)
        self._tracing.record(invocation, spec, verdict, received_ns, started_ns, start_ms if fresh else None)
        return Ran(replace(verdict, log_tail=tail) if tail else verdict, function, rest)

    async def _rest(self, place: Place, request_id: str, usage: Usage, outcome: RunOutcome) -> bytes:
        """Wait for the extensions; what they take is billed as well. The tail of the log, if it was kept."""
        try:
            rest = await place.environment.rest()
            if rest.failure is not None:
                place.journal.note(of_run(request_id, rest.failure).log_note)
            whole = replace(usage, duration_ms=usage.duration_ms + rest.extensions_ms)
            place.environment.report(request_id, whole, rest.failure or outcome)
            return place.journal.end(request_id, whole, *run_status(rest.failure or outcome))
        finally:
            self._pool.release(place)

    async def _answer(
        self, invocation: Invocation, verdict: Verdict, sink: StreamedResponse | None = None
    ) -> None:
        if invocation.reply_to:
            reply = Reply(
                invocation.request_id, verdict.payload, verdict.failure, invocation.version, verdict.log_tail
            )
            if sink is not None and sink.begun:
                sink.end(reply)
                return
            await self._broker.reply(invocation.reply_to, reply)

    async def _fail(self, delivery: Delivery) -> None:
        """A mistake of ours: the caller is told, an async message is tried again later."""
        verdict = of_platform("The worker failed; its log says why.")
        if delivery.invocation.kind == "async":
            await self._settlement.settle(delivery, verdict, None)
        else:
            await self._answer(delivery.invocation, verdict)
            await delivery.ack()

    async def _hand_back(self, delivery: Delivery) -> None:
        """The worker stops: an async message goes to others uncharged; a sync one may have run already."""
        invocation = delivery.invocation
        if invocation.kind == "async":
            await delivery.release(0, charge=False)
        else:
            await self._answer(invocation, of_platform("The worker that ran the function was stopped."))
            await delivery.ack()


def _not_started(error: NotStarted, invocation: Invocation) -> Verdict:
    verdict = of_failed_init(invocation.request_id, error.failure)
    usage = Usage(0.0, error.failure.duration_ms, error.spec.memory_mb, 0)
    error.journal.begin(invocation.request_id, error.spec.version, keep_tail=invocation.log_tail)
    error.journal.note(verdict.log_note)
    tail = error.journal.end(invocation.request_id, usage, "error", verdict.error_type)
    return replace(verdict, log_tail=tail)
