"""S3's notification, read by the classes that functions use."""

from __future__ import annotations

import json
from urllib.parse import unquote_plus

import pytest
from aws_lambda_powertools.utilities.data_classes import S3Event

from triggers.events.s3 import ObjectChange, Source, encode_key, notification

SOURCE = Source("photos", "eu-west-1", "trigger-1", owner_id="owner")
PUT = ObjectChange(
    "ObjectCreated:Put",
    "red flower/ä+b.jpg",
    1_700_000_000_123,
    size_bytes=1024,
    etag="d41d8cd98f00b204e9800998ecf8427e",
    version_id="v1",
    sequencer="0A1B",
    principal_id="tester",
    source_ip="127.0.0.1",
)


def test_powertools_reads_a_creation() -> None:
    record = S3Event(json.loads(notification(PUT, SOURCE))).record

    assert record.event_name == "ObjectCreated:Put"
    assert record.event_source == "aws:s3"
    assert record.event_version == "2.1"
    assert record.aws_region == "eu-west-1"
    assert record.event_time == "2023-11-14T22:13:20.123Z"
    assert record.user_identity.principal_id == "tester"
    assert record.request_parameters.source_ip_address == "127.0.0.1"
    assert record.s3.configuration_id == "trigger-1"
    assert record.s3.bucket.name == "photos"
    assert record.s3.bucket.arn == "arn:aws:s3:::photos"
    assert record.s3.get_object.size == 1024
    assert record.s3.get_object.etag == PUT.etag
    assert record.s3.get_object.version_id == "v1"
    assert record.s3.get_object.sequencer == "0A1B"
    assert unquote_plus(record.s3.get_object.key) == PUT.key


def test_a_removal_has_neither_size_nor_etag() -> None:
    removed = ObjectChange("ObjectRemoved:Delete", "a", 1000, size_bytes=0, etag="x")

    [record] = json.loads(notification(removed, SOURCE))["Records"]

    assert record["s3"]["object"].keys() == {"key", "sequencer"}


@pytest.mark.parametrize(
    ("key", "written"),
    [("a b", "a+b"), ("a+b", "a%2Bb"), ("x/y-_.*", "x/y-_.*"), ("ü%", "%C3%BC%25"), ("a=b&c", "a%3Db%26c")],
)
def test_keys_are_written_as_in_a_form(key: str, written: str) -> None:
    assert encode_key(key) == written
    assert unquote_plus(written) == key


@pytest.mark.parametrize(("told", "written"), [("2.2", "2.2"), ("2.0", "2.1"), ("1.0", "2.1"), ("x", "2.1")])
def test_versions_are_ones_that_functions_know(told: str, written: str) -> None:
    change = ObjectChange("ObjectCreated:Put", "a", 0, event_version=told)

    assert json.loads(notification(change, SOURCE))["Records"][0]["eventVersion"] == written
