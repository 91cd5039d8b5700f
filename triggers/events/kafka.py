"""The event of Kafka records, as Lambda's event source for self-managed Apache Kafka sends it (Lambda's
guide, "Processing self-managed Apache Kafka messages").

Records are keyed `topic-partition`; keys and values are base64; a header is an object of one name and its
value as a list of bytes, since names may repeat.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class KafkaRecord:
    """One record of a topic, as its producer wrote it. `key` and `value` may be missing (a tombstone)."""

    topic: str
    partition: int
    offset: int
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int = -1
    timestamp_type: str = "CREATE_TIME"

    @property
    def place(self) -> str:
        """`topic-partition`, by which events name it."""
        return f"{self.topic}-{self.partition}"

    @property
    def item_identifier(self) -> str:
        """What a partial result names by `{"partition": "topic-0", "offset": 15}`, in one word."""
        return f"{self.place}:{self.offset}"


def kafka_event(records: Sequence[KafkaRecord], bootstrap_servers: str) -> dict[str, Any]:
    """One batch; `bootstrap_servers` are joined by commas."""
    shown: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        shown.setdefault(record.place, []).append(_record(record))
    return {"eventSource": "SelfManagedKafka", "bootstrapServers": bootstrap_servers, "records": shown}


def _record(record: KafkaRecord) -> dict[str, Any]:
    document: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
        "timestampType": record.timestamp_type,
    }
    if record.key is not None:
        document["key"] = base64.b64encode(record.key).decode()
    document["value"] = None if record.value is None else base64.b64encode(record.value).decode()
    document["headers"] = [{name: list(value or b"")} for name, value in record.headers]
    return document
