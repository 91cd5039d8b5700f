"""Serves one mapping of a table's stream: puts its parts together, runs until cancelled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from broker.destination_senders import Senders
from broker.invocation import Reply
from triggers.aws_calls.client import Clients
from triggers.event_source_mapping.filtering.criteria import FilterCriteria
from triggers.event_source_mapping.settings import MappingSettings
from triggers.event_source_mapping.streams.batches import RetryPolicy
from triggers.event_source_mapping.streams.checkpoint import ShardCheckpoint, encode
from triggers.event_source_mapping.streams.discarding import Discarding
from triggers.event_source_mapping.streams.dynamodb_source import DynamoDBSource
from triggers.event_source_mapping.streams.handling import Conduct
from triggers.event_source_mapping.streams.invoking import Invoker
from triggers.event_source_mapping.streams.mapping import ShardStart, StreamMapping
from triggers.event_source_mapping.streams.shard_reader import ShardReader
from triggers.event_source_mapping.streams.shard_run import ShardRun, ShardSettings
from triggers.event_source_mapping.streams.source import StreamSource
from triggers.interface import RunningTrigger


async def read_stream(
    trigger: RunningTrigger, settings: MappingSettings, clients: Clients, senders: Senders
) -> None:
    """Serve until cancelled. Raises what ends it, e.g. LeaseGone."""
    source = DynamoDBSource(settings.event_source_arn, clients, trigger.settings.region)
    shards = _Shards(trigger, settings, source, senders)
    try:
        await StreamMapping(trigger, source, settings.starting_position, shards.serve).run()
    except BaseExceptionGroup as group:
        raise _first(group) from group


class _Shards:
    """How the shards of one mapping are served."""

    def __init__(
        self, trigger: RunningTrigger, settings: MappingSettings, source: StreamSource, senders: Senders
    ) -> None:
        self._trigger = trigger
        self._source = source
        self._settings = ShardSettings(
            settings.event_source_arn,
            settings.batch_size,
            settings.parallelization_factor,
            settings.tumbling_window_seconds,
            FilterCriteria.compile(settings.filters),
        )
        self._batching_window_seconds = float(settings.maximum_batching_window_seconds)
        self._invoker = Invoker(self._invoke, settings.report_batch_item_failures)
        self._policy = RetryPolicy(
            settings.bisect_batch_on_function_error,
            settings.maximum_retry_attempts,
            settings.maximum_record_age_seconds,
        )
        record = trigger.record
        self._discarding = Discarding(
            settings.on_failure,
            record.id,
            trigger.settings.function_arn(record.function_name, record.qualifier),
            settings.event_source_arn,
            senders,
            trigger.caller,
        )

    async def serve(self, shard_id: str, start: ShardStart, report: Callable[[str], None]) -> None:
        """Read one shard to its end."""
        discard = partial(self._discarding.discard, shard_id, report)
        conduct = Conduct(self._invoker, self._policy, discard, report, self._batching_window_seconds)
        reader = ShardReader(self._source, shard_id, start.position, start.since_seconds, report)
        save = partial(self._save, shard_id)
        await ShardRun(shard_id, self._settings, reader, conduct, start.checkpoint, save).run()

    async def _invoke(self, payload: bytes) -> Reply:
        return await self._trigger.caller.call(self._trigger.target, payload)

    async def _save(self, shard_id: str, checkpoint: ShardCheckpoint) -> None:
        await self._trigger.save_checkpoints({shard_id: encode(checkpoint)})


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first single exception in it: the others only followed."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
