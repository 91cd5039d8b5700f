"""What a queue trigger may be told, and what is shown of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from triggers.queues.kafka.address import connection_properties
from triggers.queues.kombu_envelope import opened
from triggers.queues.partial_results import failed_items
from triggers.queues.settings import QueueSettings, masked_url


def settings(**members: Any) -> QueueSettings:
    return QueueSettings(**{"url": "amqp://u:secret@h:5672/v", "queue": "q", **members})


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"url": "http://h"}, "scheme 'http'"),
        ({"url": "kafka://h:x"}, "names the Kafka server 'h:x'"),
        ({"url": "kafka://h,:9092"}, "names the Kafka server ':9092'"),
        ({"url": "kafka://h", "exchange": "e"}, "a topic of Kafka is named by queue"),
        (
            {"url": "kafka://h", "transport_options": {"enable.auto.commit": True}},
            "'enable.auto.commit' is not",
        ),
        ({"consumer_group": "g"}, "are for Kafka; not for amqp"),
        ({"url": "gcpubsub://"}, "name the project"),
        ({"url": "azurestoragequeues://key@h"}, "would lose messages"),
        ({"url": "amqp://****@h/v"}, "which is masked"),
        ({"queue": ""}, "queue is empty"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batching_window_seconds": 301.0}, "between 0 and 300"),
        ({"prefetch": 2, "batch_size": 10}, "no batch fills"),
        ({"dead_letter_queue": "q"}, "the queue itself"),
        ({"url": "redis://h", "exchange": "e"}, "exchange is for AMQP"),
    ],
)
def test_what_cannot_work_is_refused_with_the_value(members: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        settings(**members)


def test_a_masked_trigger_has_no_credentials() -> None:
    shown = msgspec.json.encode(settings(url="amqps://u:secret@h/v?token=secret").masked())
    assert b"secret" not in shown
    assert b"amqps://****@h/v" in shown


def test_a_kafka_url_names_several_servers_and_a_user() -> None:
    properties = connection_properties("kafkas://u:p%40ss@one,two:9093/", {"sasl.mechanism": "SCRAM-SHA-512"})
    assert properties["bootstrap.servers"] == "one:9092,two:9093"
    assert properties["security.protocol"] == "SASL_SSL"
    assert (properties["sasl.username"], properties["sasl.password"]) == ("u", "p@ss")
    assert properties["sasl.mechanism"] == "SCRAM-SHA-512"
    assert connection_properties("kafka://[::1]:9094", {})["security.protocol"] == "PLAINTEXT"


def test_two_kafka_triggers_cannot_commit_under_one_name() -> None:
    first, second = (settings(url="kafka://h", consumer_group="g", batch_size=size) for size in (1, 2))
    assert first.exclusive_key == second.exclusive_key != ""
    assert settings(url="kafka://h").exclusive_key == ""


def test_a_url_without_credentials_is_shown_as_it_is() -> None:
    assert masked_url("redis://h:6379/1") == "redis://h:6379/1"


def test_the_virtual_host_is_decoded() -> None:
    assert settings(url="amqp://h/%2Fshop").virtual_host == "/shop"
    assert settings(url="amqp://h").virtual_host == "/"


def test_a_partial_result_names_its_failures() -> None:
    known = {"1", "2"}
    assert failed_items(b'{"batchItemFailures": [{"itemIdentifier": "2"}]}', known) == {"2"}
    assert failed_items(b"null", known) == set()
    assert failed_items(b"{}", known) == set()
    assert failed_items(b"", known) == set()
    of_kafka = b'{"batchItemFailures": [{"itemIdentifier": {"partition": "topic-0", "offset": 7}}]}'
    assert failed_items(of_kafka, {"topic-0:7"}) == {"topic-0:7"}


@pytest.mark.parametrize(
    "result",
    [
        b"3",
        b'{"batchItemFailures": [{"itemIdentifier": "9"}]}',
        b"[]",
        b'{"batchItemFailures": [{"itemIdentifier": "\xff"}]}',
        b'{"other": ' + b"[" * 5000,
    ],
)
def test_a_malformed_partial_result_fails_the_whole_batch(result: bytes) -> None:
    assert failed_items(result, {"1"}) is None


def envelope(body: bytes, more: bytes = b"", properties: bytes = b"") -> bytes:
    return b'{"body": "%b", "headers": {%b}, "properties": {"delivery_tag": "1"%b}}' % (
        body,
        more,
        properties,
    )


BASE64 = b', "body_encoding": "base64"'


@pytest.mark.parametrize(
    "entry",
    [
        b"plain",
        b"\xff",
        b'{"body": "x"}',
        b'{"n": 1}',
        envelope("no base64: é".encode(), properties=BASE64),
        envelope(b"no base64", properties=BASE64),
        envelope(b"\xff"),
        envelope(b"\\ud800"),
        envelope(b"x", b'"deep": ' + b"[" * 100_000),
    ],
    ids=lambda entry: repr(entry[:40]),
)
def test_bytes_that_are_no_envelope_are_the_body(entry: bytes) -> None:
    assert opened(entry).body == entry
