"""Where a reader goes on in partitions that it did not read so far."""

from __future__ import annotations

from collections.abc import Collection

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, TopicPartition

from triggers.queues.kafka.driver import CONNECT_SECONDS
from triggers.queues.settings import QueueSettings


def beginnings(
    consumer: Consumer, settings: QueueSettings, partitions: Collection[int], *, is_first: bool
) -> list[TopicPartition]:
    """What is committed for each; `is_first` while the reader knows no other partitions.

    A partition that was never read begins with its oldest record, or, of a trigger that begins with LATEST,
    with what comes after the first look at the topic; that is committed at once, so that it is decided only
    once. Raises KafkaException.
    """
    asked = [TopicPartition(settings.queue, number) for number in sorted(partitions)]
    places: list[TopicPartition] = consumer.committed(asked, CONNECT_SECONDS)
    for place in places:
        if place.error is not None:
            raise KafkaException(place.error)
    new = [place for place in places if place.offset == OFFSET_INVALID]
    first_look = is_first and len(new) == len(places)
    from_the_end = first_look and settings.starting_position == "LATEST"
    for place in new:
        oldest, newest = consumer.get_watermark_offsets(place, CONNECT_SECONDS)
        place.offset = newest if from_the_end else oldest
    if new:
        consumer.commit(offsets=new, asynchronous=False)
    return places
