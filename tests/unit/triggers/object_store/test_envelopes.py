"""The envelopes of stores, in the shapes that they were seen in."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from triggers.events.s3 import Source, notification
from triggers.object_store.envelopes import MalformedEvent, StoreEvent, read

NOW_MS = 1_800_000_000_000


def record(**more: Any) -> dict[str, Any]:
    """An S3 record; `bucket__arn=...` reaches into it."""
    made: dict[str, Any] = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2023-11-14T22:13:20.000Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "tester"},
        "requestParameters": {"sourceIPAddress": "10.0.0.1"},
        "responseElements": {"x-amz-request-id": "R", "x-amz-id-2": "H"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "c",
            "bucket": {
                "name": "photos",
                "ownerIdentity": {"principalId": "o"},
                "arn": "arn:aws:s3:::photos",
            },
            "object": {"key": "a+b%2Fc.jpg", "size": 7, "eTag": "e1", "versionId": "1", "sequencer": "F"},
        },
    }
    for path, value in more.items():
        place = made
        *folders, name = path.split("__")
        for folder in folders:
            place = place[folder]
        place[name] = value
    return made


def one(document: dict[str, Any], encoding: Any = "auto") -> StoreEvent:
    [event] = read(json.dumps(document).encode(), NOW_MS, encoding)
    return event


AWS = {"Records": [record()]}
MINIO = {
    "EventName": "s3:ObjectCreated:Put",
    "Key": "photos/a b/c.jpg",
    "Records": [record(eventName="s3:ObjectCreated:Put", eventSource="minio:s3", eventVersion="2.0")],
}
RUSTFS = {
    "EventName": "s3:ObjectCreated:Put",
    "Key": "photos/a b/c.jpg",
    "Records": [record(eventName="s3:ObjectCreated:Put", eventSource="rustfs:s3")],
}
CEPH = {
    "Records": [
        record(
            eventName="ObjectCreated:Put",
            eventSource="ceph:s3",
            eventTime="2023-11-14T22:13:20.000000Z",
            s3__bucket__arn="arn:aws:s3:us-east-1::photos",
            s3__object__key="a b/c.jpg",
            s3__object__size="7",
            eventId="",
            opaqueData="me@example.com",
        )
    ]
}
VERSITYGW = {
    "Records": [
        record(
            eventName="s3:ObjectCreated:Put",
            eventVersion="2.2",
            eventTime="2023-11-14T23:13:20+01:00",
            userIdentity={"PrincipalId": "root"},
            s3__bucket__arn="arn:aws:s3:::/photos/a b/c.jpg",
            s3__object__key="a b/c.jpg",
            glacierEventData={"restoreEventData": {}},
        )
    ]
}


@pytest.mark.parametrize(
    "envelope",
    [AWS, MINIO, RUSTFS, CEPH, VERSITYGW],
    ids=["aws", "minio", "rustfs", "ceph", "versitygw"],
)
def test_every_store_tells_the_same(envelope: dict[str, Any]) -> None:
    event = one(envelope)

    assert event.bucket == "photos"
    assert event.change.event_name == "ObjectCreated:Put"
    assert event.change.key == "a b/c.jpg"
    assert event.change.size_bytes == 7
    assert event.change.etag == "e1"
    assert event.change.time_ms == 1_700_000_000_000


def test_a_key_that_minio_did_not_encode_is_left_alone() -> None:
    envelope = {"Key": "photos/100%25.txt", "Records": [record(s3__object__key="100%25.txt")]}

    assert one(envelope).change.key == "100%25.txt"


def test_the_operator_knows_better_how_keys_are_written() -> None:
    assert one({"Records": [record(s3__object__key="a+b")]}, "raw").change.key == "a+b"
    assert one({"Records": [record(s3__object__key="a+b", eventSource="ceph:s3")]}, "url").change.key == "a b"


@pytest.mark.parametrize("text", ["yesterday", "", "2026-01-01T00:00:00", "0001-01-01T00:00:00+23:00"])
def test_a_time_that_cannot_be_read_is_when_it_came(text: str) -> None:
    assert one({"Records": [record(eventTime=text)]}).change.time_ms == NOW_MS


ODD: list[Any] = [
    "",
    "\ud800",
    "x" * 5000,
    None,
    -1,
    2**70,
    1.5,
    True,
    [],
    {},
    "9999-12-31T23:59:59-23:00",
    "%ff",
    "\0",
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to everything within a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield (*path, name)
        yield from places(inner, (*path, name))


def test_whatever_stands_in_an_event_it_is_taken_or_refused() -> None:
    for place, odd in itertools.product(places(MINIO), ODD):
        document = json.loads(json.dumps(MINIO))
        inner = document
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = odd
        with contextlib.suppress(MalformedEvent):
            for event in read(json.dumps(document).encode(), NOW_MS):
                json.loads(notification(event.change, Source(event.bucket, "r", "t")))


def test_a_missing_etag_is_unknown() -> None:
    assert one({"Records": [record(s3__object__eTag=None)]}).change.etag == ""


@pytest.mark.parametrize(
    "body",
    [
        b'{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"b"}',
        b'{"Service":"S3","Event":"s3:TestEvent","Bucket":"Test-Bucket"}',
        b'{"Records":[]}',
    ],
)
def test_a_test_event_holds_nothing(body: bytes) -> None:
    assert read(body, NOW_MS) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"Records":{}}',
        b'{"Records":[1]}',
        b'{"Records":[{"eventName":"ObjectCreated:Put"}]}',
        json.dumps({"Records": [record(s3__object__key="")]}).encode(),
        json.dumps({"Records": [record(s3__object__key="x" * 1025)]}).encode(),
        json.dumps({"Records": [record(s3__bucket__name="")]}).encode(),
        json.dumps({"Records": [record(eventName="rm -rf /")]}).encode(),
        json.dumps({"Records": [record()] * 1001}).encode(),
    ],
)
def test_what_is_no_event_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(MalformedEvent, match=r"\w"):
        read(body, NOW_MS)
