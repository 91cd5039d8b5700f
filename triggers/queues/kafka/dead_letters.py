"""Where records go that a function cannot digest: a topic of their own."""

from __future__ import annotations

import asyncio
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from triggers.events.kafka import KafkaRecord
from triggers.queues.kafka.driver import ANSWER_SECONDS, described, make_producer
from triggers.queues.message import (
    FAILURES_HEADER,
    QUEUE_HEADER,
    REASON_HEADER,
    NotPlaced,
    QueueMessage,
)
from triggers.queues.settings import QueueSettings

PARTITION_HEADER = "x-lightswitch-partition"
OFFSET_HEADER = "x-lightswitch-offset"
"""On a dead letter: where in its topic it was."""


class DeadLetters:
    """The producer is made with the first of them."""

    def __init__(self, settings: QueueSettings) -> None:
        self._settings = settings
        self._producer: Producer | None = None

    async def add(self, message: QueueMessage, reason: str) -> None:
        """Return when the cluster has it. Raises NotPlaced. Cancelled, it may be there or not."""
        await asyncio.to_thread(self._add, message.token, message.failures + 1, reason)

    def _add(self, record: KafkaRecord, failures: int, reason: str) -> None:
        if self._producer is None:
            self._producer = make_producer(self._settings)
        answers: list[KafkaError | None] = []
        try:
            self._producer.produce(
                self._settings.dead_letters,
                record.value,
                record.key,
                timestamp=max(0, record.timestamp_ms),
                headers=[*record.headers, *_more_headers(record, failures, reason)],
                on_delivery=lambda error, _: answers.append(error),
            )
            self._producer.flush(ANSWER_SECONDS * 2)
        except (KafkaException, BufferError) as error:
            raise self._not_placed(error.args[0]) from error
        if answers != [None]:
            raise self._not_placed(answers[0] if answers else "no answer")

    def _not_placed(self, reason: object) -> NotPlaced:
        said = described(self._settings, reason) if isinstance(reason, KafkaError) else str(reason)
        return NotPlaced(f"topic {self._settings.dead_letters} takes no message: {said}")


def _more_headers(record: KafkaRecord, failures: int, reason: str) -> list[tuple[str, Any]]:
    return [
        (FAILURES_HEADER, str(failures)),
        (REASON_HEADER, reason[:1000]),
        (QUEUE_HEADER, record.topic),
        (PARTITION_HEADER, str(record.partition)),
        (OFFSET_HEADER, str(record.offset)),
    ]
