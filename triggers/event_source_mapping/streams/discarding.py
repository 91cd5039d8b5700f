"""Tells a mapping's on-failure destination of batches that were given up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from broker.caller import Caller, Target
from broker.destination_requests import Notice
from broker.destination_senders import Senders
from broker.errors import BrokerError, BrokerUnavailable, DestinationRefused, DestinationUnavailable
from triggers.event_source_mapping.streams.batches import Batch, Condition, retry_delay_seconds
from triggers.event_source_mapping.streams.failure_record import Ran, failure_record
from triggers.events.dynamodb import event

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Discarding:
    """One mapping's destination; `destination_arn` is empty where it has none."""

    destination_arn: str
    mapping_id: str
    function_arn: str
    stream_arn: str
    senders: Senders
    caller: Caller

    async def discard(
        self,
        shard_id: str,
        report: Callable[[str], None],
        batch: Batch,
        condition: Condition,
        ran: Ran | None,
    ) -> None:
        """Return when the destination has it. One that is away is tried until it is back; what one refuses,
        and what has no destination, is left in the log."""
        now = datetime.now(UTC)
        document = self._document(shard_id, batch, condition, ran, now)
        failures = 0
        while self.destination_arn:
            try:
                await self._send(document, shard_id, now)
                return
            except (DestinationUnavailable, BrokerUnavailable) as error:
                failures += 1
                report(f"PROBLEM: the on-failure destination cannot be told: {error}")
                await asyncio.sleep(min(30.0, retry_delay_seconds(failures)))
            except (DestinationRefused, BrokerError) as error:
                report(f"PROBLEM: the on-failure destination refused a batch: {error}")
                break
        log.error("batch_discarded", extra={"mapping": self.mapping_id, "record": document.decode()})

    async def _send(self, document: bytes, shard_id: str, now: datetime) -> None:
        arn = self.destination_arn
        if ":function:" in arn:
            name, _, qualifier = arn.partition(":function:")[2].partition(":")
            await self.caller.send(Target(name, qualifier), document)
            return
        notice = Notice(
            body=document,
            time_ms=round(now.timestamp() * 1000),
            object_prefix=f"aws/lambda/{self.mapping_id}/{shard_id}",
            detail_type="Lambda Function Invocation Result - Failure",
            resources=(self.function_arn,),
        )
        await self.senders.send(arn, notice)

    def _document(
        self, shard_id: str, batch: Batch, condition: Condition, ran: Ran | None, now: datetime
    ) -> bytes:
        to_bucket = self.destination_arn.startswith("arn:aws:s3:")
        return failure_record(
            batch,
            condition,
            function_arn=self.function_arn,
            shard_id=shard_id,
            stream_arn=self.stream_arn,
            now=now,
            last_run=ran,
            payload=event([record.body for record in batch.records]) if to_bucket else None,
        )
