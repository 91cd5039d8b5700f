"""The rules between a mapping's parameters."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from triggers.event_source_mapping.settings import MappingSettings

QUEUE = "arn:aws:sqs:us-east-1:123456789012:orders"
FIFO = f"{QUEUE}.fifo"
STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-25T10:00:00.000"


def test_a_source_has_its_own_default_batch_size() -> None:
    assert MappingSettings(event_source_arn=QUEUE).batch_size == 10
    assert MappingSettings(event_source_arn=STREAM, starting_position="LATEST").batch_size == 100


def test_a_queue_is_known_by_its_arn() -> None:
    settings = MappingSettings(event_source_arn=FIFO)
    assert (settings.service, settings.queue_name, settings.is_fifo) == ("sqs", "orders.fifo", True)
    assert (settings.source_region, settings.source_account) == ("us-east-1", "123456789012")


def test_settings_survive_being_stored() -> None:
    settings = MappingSettings(
        event_source_arn=QUEUE, batch_size=50, maximum_batching_window_seconds=5, filters=('{"body": [1]}',)
    )
    assert msgspec.json.decode(msgspec.json.encode(settings), type=MappingSettings) == settings


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"event_source_arn": QUEUE, "batch_size": 11}, "Maximum batch window in seconds must be greater"),
        ({"event_source_arn": QUEUE, "batch_size": 10_001}, "BatchSize must be between 1 and 10000"),
        ({"event_source_arn": QUEUE, "maximum_concurrency": 1}, "MaximumConcurrency must be between 2"),
        ({"event_source_arn": QUEUE, "starting_position": "LATEST"}, "StartingPosition"),
        ({"event_source_arn": QUEUE, "on_failure": QUEUE}, "DestinationConfig"),
        ({"event_source_arn": QUEUE, "parallelization_factor": 2}, "type SQS: ParallelizationFactor"),
        ({"event_source_arn": QUEUE, "filters": ("{}",) * 11}, "at most 10 filters"),
        ({"event_source_arn": FIFO, "maximum_batching_window_seconds": 1}, "not supported for FIFO queues"),
        ({"event_source_arn": FIFO, "batch_size": 11}, "Batch size 11 is more than a FIFO queue allows"),
        ({"event_source_arn": STREAM}, "Value null at 'startingPosition'"),
        (
            {"event_source_arn": STREAM, "starting_position": "LATEST", "maximum_concurrency": 2},
            "type DynamoDB: ScalingConfig",
        ),
        (
            {"event_source_arn": STREAM, "starting_position": "LATEST", "maximum_record_age_seconds": 59},
            "at least 60 seconds",
        ),
        (
            {"event_source_arn": "arn:aws:kinesis:us-east-1:123456789012:stream/orders"},
            "Unrecognized event source",
        ),
        ({"event_source_arn": "orders"}, "Unrecognized event source"),
        (
            {"bootstrap_servers": ("h:99999",), "topic": "t", "starting_position": "LATEST"},
            "names the Kafka server 'h:99999'",
        ),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        MappingSettings(**given)
