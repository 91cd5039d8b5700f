"""Kafka records as Lambda's event source for self-managed Kafka shows them."""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.kafka_event import KafkaEvent, KafkaEventRecord
from aws_lambda_powertools.utilities.kafka import ConsumerRecords, SchemaConfig, kafka_consumer
from aws_lambda_powertools.utilities.typing import LambdaContext

from triggers.events.kafka import KafkaRecord, kafka_event
from triggers.queues.partial_results import failed_items

RECORDS = [
    KafkaRecord("orders", 0, 7, b"k\xfe", b'{"n": 1}', (("tenant", b"t1"), ("raw", b"\xff")), 1545084650987),
    KafkaRecord("orders", 0, 8, None, b"{}"),
    KafkaRecord("orders", 3, 2, b"gone", None),
]


def test_powertools_reads_the_event() -> None:
    event = KafkaEvent(kafka_event(RECORDS, "one:9092,two:9092"))
    first, second, _ = event.records
    assert event.event_source == "SelfManagedKafka"
    assert event.decoded_bootstrap_servers == ["one:9092", "two:9092"]
    assert (first.topic, first.partition, first.offset, first.timestamp) == ("orders", 0, 7, 1545084650987)
    assert (first.decoded_key, first.json_value) == (b"k\xfe", {"n": 1})
    assert dict(first.decoded_headers) == {"tenant": b"t1", "raw": b"\xff"}
    assert second.decoded_key is None


def test_powertools_kafka_consumer_reads_the_event() -> None:
    @kafka_consumer(schema_config=SchemaConfig(value_schema_type="JSON"))
    def handler(event: ConsumerRecords, context: object) -> list[tuple[int, object]]:
        return [(record.offset, record.value) for record in event.records]

    assert handler(kafka_event(RECORDS[:2], "h:9092"), LambdaContext()) == [(7, {"n": 1}), (8, {})]


def test_records_are_keyed_by_topic_and_partition() -> None:
    records = kafka_event(RECORDS, "h:9092")["records"]
    assert {place: len(batch) for place, batch in records.items()} == {"orders-0": 2, "orders-3": 1}
    assert records["orders-3"][0]["value"] is None
    assert "key" not in records["orders-0"][1]


def test_the_failures_that_powertools_batch_processor_names_are_understood() -> None:
    processor = BatchProcessor(event_type=EventType.Kafka)

    def handle(record: KafkaEventRecord) -> None:
        if record.offset == 8:
            raise ValueError("cannot digest this")

    event: dict[str, Any] = kafka_event(RECORDS, "h:9092")
    answer = process_partial_response(event=event, record_handler=handle, processor=processor)
    known = {record.item_identifier for record in RECORDS}
    assert failed_items(json.dumps(answer).encode(), known) == {"orders-0:8"}
