"""What a filter sees of a Kafka record."""

from __future__ import annotations

import pytest

from triggers.event_source_mapping.topics import filtered_view
from triggers.events.kafka import KafkaRecord
from triggers.queues.message import QueueMessage


def view(value: bytes | None) -> object:
    record = KafkaRecord("orders", 0, 7, None, value)
    return filtered_view(QueueMessage(value or b"", record.item_identifier, record))["value"]


def test_json_is_seen_by_its_members() -> None:
    assert view(b'{"n": [1]}') == {"n": [1]}


@pytest.mark.parametrize("value", [b"plain", b"{broken", b'["\xff"]', b"[" * 5000, b""])
def test_what_is_no_json_is_seen_as_text(value: bytes) -> None:
    assert view(value) == value.decode(errors="replace")


def test_a_tombstone_has_no_value() -> None:
    assert view(None) is None
