"""The document of a batch that was given up, member by member."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from tests.unit.triggers.event_source_mapping.streams.records import record
from triggers.event_source_mapping.streams.batches import Batch
from triggers.event_source_mapping.streams.failure_record import Ran, failure_record

NOW = datetime(2019, 11, 14, 0, 13, 49, 717_000, tzinfo=UTC)
BATCH = Batch((record(5, created_seconds=1573690399), record(9, created_seconds=1573690400)), 1, 3)
STREAM = "arn:aws:dynamodb:us-east-2:123456789012:table/mytable/stream/2019-11-14T00:04:06.388"
FUNCTION = "arn:aws:lambda:us-east-2:123456789012:function:myfunction"


def document(last_run: Ran | None, payload: bytes | None = None) -> dict[str, object]:
    made = failure_record(
        BATCH,
        "RetryAttemptsExhausted",
        function_arn=FUNCTION,
        shard_id="shard-1",
        stream_arn=STREAM,
        now=NOW,
        last_run=last_run,
        payload=payload,
    )
    decoded: dict[str, object] = json.loads(made)
    return decoded


def test_the_document_has_awss_members() -> None:
    assert document(Ran("316aa6d0", "$LATEST", "Unhandled")) == {
        "requestContext": {
            "requestId": "316aa6d0",
            "functionArn": FUNCTION,
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 3,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": "2019-11-14T00:13:49.717Z",
        "DDBStreamBatchInfo": {
            "shardId": "shard-1",
            "startSequenceNumber": "5",
            "endSequenceNumber": "9",
            "approximateArrivalOfFirstRecord": "2019-11-14T00:13:19Z",
            "approximateArrivalOfLastRecord": "2019-11-14T00:13:20Z",
            "batchSize": 2,
            "streamArn": STREAM,
        },
    }


def test_a_batch_that_never_ran_has_no_response() -> None:
    assert "responseContext" not in document(None)


def test_a_bucket_gets_the_event_as_well() -> None:
    assert document(None, b'{"Records":[]}')["payload"] == '{"Records":[]}'
