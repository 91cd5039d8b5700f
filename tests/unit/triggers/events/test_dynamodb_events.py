"""Events of a table's stream, read by Powertools as unmodified handlers do."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
from aws_lambda_powertools.utilities.data_classes import DynamoDBStreamEvent
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecordEventName

from triggers.event_source_mapping.streams.records import read_record
from triggers.events.dynamodb import Window, WindowContext, event, stream_record

STREAM = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-25T00:00:00.000"
FOUND = {
    "eventID": "c4ca4238a0b923820dcc509a6f75849b",
    "eventName": "INSERT",
    "eventVersion": "1.1",
    "eventSource": "aws:dynamodb",
    "awsRegion": "us-east-1",
    "dynamodb": {
        "ApproximateCreationDateTime": datetime(2026, 11, 25, 11, 0, 7, tzinfo=UTC),
        "Keys": {"id": {"S": "a"}},
        "NewImage": {
            "id": {"S": "a"},
            "count": {"N": "3"},
            "raw": {"B": b"\x00\xff"},
            "nested": {"M": {"list": {"L": [{"NULL": True}, {"BOOL": False}]}}},
            "blobs": {"BS": [b"a", b"b"]},
        },
        "SequenceNumber": "111",
        "SizeBytes": 26,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    },
}


def test_an_entry_has_awss_members() -> None:
    record, _ = read_record(FOUND, STREAM)
    entry = json.loads(event([record.body]))["Records"][0]

    assert entry == {
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "eventSourceARN": STREAM,
        "dynamodb": {
            "ApproximateCreationDateTime": 1795604407,
            "Keys": {"id": {"S": "a"}},
            "NewImage": {
                "id": {"S": "a"},
                "count": {"N": "3"},
                "raw": {"B": "AP8="},
                "nested": {"M": {"list": {"L": [{"NULL": True}, {"BOOL": False}]}}},
                "blobs": {"BS": ["YQ==", "Yg=="]},
            },
            "SequenceNumber": "111",
            "SizeBytes": 26,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


def test_powertools_reads_it() -> None:
    record, _ = read_record(FOUND, STREAM)
    (read,) = DynamoDBStreamEvent(json.loads(event([record.body]))).records

    assert read.event_name is DynamoDBRecordEventName.INSERT
    assert read.event_source_arn == STREAM
    assert read.dynamodb is not None
    assert read.dynamodb.sequence_number == "111"
    assert read.dynamodb.approximate_creation_date_time == 1795604407
    assert read.dynamodb.new_image["count"] == 3
    assert read.dynamodb.new_image["nested"] == {"list": [None, False]}


def test_a_deletion_by_time_to_live_names_who_did_it() -> None:
    expired = {**FOUND, "userIdentity": {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}}
    entry = stream_record(expired, STREAM)
    assert entry["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


def test_a_windows_event_carries_its_state() -> None:
    context = WindowContext(
        Window(1596128400, 1596128700), msgspec.Raw(b'{"1":"x"}'), "shard-1", STREAM, True
    )

    assert json.loads(event([], context)) == {
        "Records": [],
        "window": {"start": "2020-07-30T17:00:00Z", "end": "2020-07-30T17:05:00Z"},
        "state": {"1": "x"},
        "shardId": "shard-1",
        "eventSourceARN": STREAM,
        "isFinalInvokeForWindow": True,
        "isWindowTerminatedEarly": False,
    }
