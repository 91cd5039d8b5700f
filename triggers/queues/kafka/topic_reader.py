"""One topic read by one owned thread: all its partitions, each from the offset that is committed for it.

The partitions are assigned by us and not by Kafka's group protocol: the trigger's lease decides who reads,
and the group's name only keeps the offsets. So nothing is rebalanced, and another process goes on as soon as
it has the lease, from the last commit. One that was thought dead can at worst commit an older offset: records
run again.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Self

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from triggers.events.kafka import KafkaRecord
from triggers.queues.arrivals import Arrivals
from triggers.queues.kafka.driver import CONNECT_SECONDS, described, make_consumer, message_of, translated
from triggers.queues.kafka.positions import beginnings
from triggers.queues.message import QueueMessage, SourceUnavailable
from triggers.queues.settings import QueueSettings

_IDLE_SECONDS = 0.5
_BUSY_SECONDS = 0.02
_FULL_SECONDS = 0.002
"""Nothing wakes a thread that waits in the driver, so it looks up more often while something is in hand."""
_MOST_BYTES = 8 * 1024 * 1024
_MOST_BYTES_IN_ALL = 128 * 1024 * 1024
_COMMIT_SECONDS = 0.02
_LOOK_SECONDS = 5.0
_LOOK_WHILE_BUSY_SECONDS = 25.0
_LOOK_WHILE_AWAY_SECONDS = 1.0
_LAST_COMMIT_SECONDS = 3.0
_COMMIT_AGAIN_SECONDS = 3600.0
"""Kafka forgets offsets that nobody commits for a week (`offsets.retention.minutes`)."""
_AWAY = (KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._SSL)


class TopicGone(SourceUnavailable):
    """There is no such topic. If it is made again it is another one, to be read from its own beginning."""


class TopicReader:
    """Made by `open`; used on one loop. Raises SourceUnavailable as `QueueSource`s do.

    While the cluster is away it goes on by itself, and says so by `report`; what is in hand stays in hand. Of
    each partition about the window is in hand, or 8 MB (128 MB of all), and the driver fetches 16 MB ahead.
    """

    def __init__(self, settings: QueueSettings, group: str, report: Callable[[str], None]) -> None:
        self._settings = settings
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._arrivals = Arrivals()
        self._ended = asyncio.Event()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closing = False
        self._lock = threading.Lock()
        self._room = threading.Event()
        self._in_hand: Counter[int] = Counter()
        self._bytes_in_hand: Counter[int] = Counter()
        self._done: dict[int, int] = {}
        # The thread's own:
        self._consumer = make_consumer(settings, group, self._on_error, self._on_commit)
        self._known: set[int] = set()
        self._paused: set[int] = set()
        self._committed: dict[int, int] = {}
        self._committing = False
        self._commit_failed = False
        self._commit_at = 0.0
        self._commit_again_at = time.monotonic() + _COMMIT_AGAIN_SECONDS
        self._look_at = time.monotonic() + _LOOK_SECONDS
        self._problem = ""
        self._thread = threading.Thread(target=self._serve, name=f"kafka-{settings.queue}", daemon=True)

    @classmethod
    async def open(cls, settings: QueueSettings, group: str, report: Callable[[str], None]) -> Self:
        """Connect, find out where each partition goes on, and read. Raises SourceUnavailable."""
        reader = cls(settings, group, report)
        reader._thread.start()
        try:
            await reader._opened
        except BaseException:
            await reader.close()
            raise
        return reader

    async def receive(self, most: int) -> Sequence[QueueMessage]:
        """Messages of any partitions, those of each in order; their tokens are KafkaRecords. Cancelling
        loses none."""
        return await self._arrivals.take(most, None)

    def settle(self, messages: Sequence[QueueMessage]) -> None:
        """They are done, and so is all before them in their partitions: to be committed within moments."""
        with self._lock:
            for message in messages:
                record: KafkaRecord = message.token
                self._done[record.partition] = record.offset + 1
                self._in_hand[record.partition] -= 1
                self._bytes_in_hand[record.partition] -= len(message.body)
        self._room.set()

    async def close(self) -> None:
        """Commit what is done, where the cluster is there, and stop. Idempotent, never raises."""
        self._closing = True
        await self._ended.wait()

    def _serve(self) -> None:
        """The thread's whole life."""
        reason = "the reader was closed"
        try:
            self._find_partitions()
            self._tell(_succeed, self._opened)
            while not self._closing:
                self._read_some()
                self._hold_back()
                self._commit_what_is_done()
                self._look_for_partitions()
            self._commit_the_rest()
        except SourceUnavailable as error:
            reason = str(error)
        except KafkaException as error:
            reason = described(self._settings, error.args[0])
        except Exception as error:  # the thread's end must be told, whatever ended it
            reason = f"{type(error).__name__}: {error}"
        finally:
            with contextlib.suppress(Exception):  # it is done with, in whatever state it is
                self._consumer.close()
            self._tell(self._end, reason)

    def _read_some(self) -> None:
        if self._known and self._known <= self._full():
            self._room.wait(_BUSY_SECONDS)
            self._room.clear()
            return
        busy = self._in_hand.total() > 0 or self._committing
        seconds = _FULL_SECONDS if self._paused else _BUSY_SECONDS if busy else _IDLE_SECONDS
        first = self._consumer.poll(seconds)
        if first is None:
            return
        # `consume` waits until it has all it was asked for, so it is asked only for what is there.
        received = [first, *self._consumer.consume(max(1, self._settings.window - 1), 0)]
        messages = []
        for each in received:
            if error := each.error():
                self._on_error_of_partition(error)
            else:
                messages.append(message_of(self._settings, each))
        with self._lock:
            for message in messages:
                self._in_hand[message.token.partition] += 1
                self._bytes_in_hand[message.token.partition] += len(message.body)
        self._tell(self._arrivals.add, messages)

    def _hold_back(self) -> None:
        """Read on only in partitions of which not too much is in hand. What the driver has fetched of one
        that is held back is fetched again, so where all are full we rather read nothing for a moment."""
        full = self._full()
        with self._lock:
            half = self._holding(self._settings.window // 2 + 1, self._most_bytes // 2)
        pause = full - self._paused if self._known - full else set()
        if pause:
            self._consumer.pause(self._places(pause))
        if resume := self._paused - half:
            self._consumer.resume(self._places(resume))
        self._paused = (self._paused | pause) - resume

    def _full(self) -> set[int]:
        with self._lock:
            return self._holding(self._settings.window, self._most_bytes)

    @property
    def _most_bytes(self) -> int:
        """Of each partition; less where there are many."""
        return min(_MOST_BYTES, _MOST_BYTES_IN_ALL // max(1, len(self._known)))

    def _holding(self, messages: int, size_bytes: int) -> set[int]:
        """Partitions of which so much is in hand, by either measure."""
        return {number for number, count in self._in_hand.items() if count >= messages} | {
            number for number, count in self._bytes_in_hand.items() if count >= size_bytes
        }

    def _commit_what_is_done(self) -> None:
        if self._committing or time.monotonic() < self._commit_at:
            return
        if time.monotonic() >= self._commit_again_at:
            self._committed.clear()
            self._commit_again_at = time.monotonic() + _COMMIT_AGAIN_SECONDS
        with self._lock:
            offsets = [
                TopicPartition(self._settings.queue, number, offset)
                for number, offset in self._done.items()
                if self._committed.get(number) != offset
            ]
        if offsets:
            self._committing = True
            self._commit_at = time.monotonic() + _COMMIT_SECONDS
            with translated(self._settings):
                self._consumer.commit(offsets=offsets, asynchronous=True)

    def _commit_the_rest(self) -> None:
        deadline = time.monotonic() + _LAST_COMMIT_SECONDS
        while time.monotonic() < deadline and not self._problem:
            self._commit_what_is_done()
            if not self._committing and self._all_committed():
                return
            self._consumer.poll(_COMMIT_SECONDS)

    def _all_committed(self) -> bool:
        with self._lock:
            return all(self._committed.get(number) == offset for number, offset in self._done.items())

    def _look_for_partitions(self) -> None:
        """New partitions of the topic, and whether a cluster that was away is back."""
        # The broker answers only after the fetch that waits on the same connection, so rather when idle.
        busy = self._in_hand.total() > 0 and not self._problem
        if time.monotonic() < self._look_at + (_LOOK_WHILE_BUSY_SECONDS if busy else 0):
            return
        try:
            self._find_partitions()
        except TopicGone:
            raise
        except SourceUnavailable as error:
            self._say(str(error))
        else:
            if self._problem and not self._commit_failed:
                self._problem = ""
                self._tell(self._report, "OK: reading the topic again")
        wait_seconds = _LOOK_WHILE_AWAY_SECONDS if self._problem else _LOOK_SECONDS
        self._look_at = time.monotonic() + wait_seconds

    def _find_partitions(self) -> None:
        """Read those that are not read yet, from what is committed or from where the trigger begins."""
        topic = self._settings.queue
        with translated(self._settings):
            found = self._consumer.list_topics(topic, CONNECT_SECONDS).topics[topic]
            if found.error is not None:
                gone = found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
                problem = TopicGone if gone else SourceUnavailable
                raise problem(f"topic {topic}: {described(self._settings, found.error)}")
            fresh = set(found.partitions) - self._known
            if fresh:
                self._begin(beginnings(self._consumer, self._settings, fresh, is_first=not self._known))
                self._known |= fresh

    def _begin(self, places: list[TopicPartition]) -> None:
        offsets = {place.partition: place.offset for place in places}
        self._committed |= offsets
        with self._lock:
            self._done |= offsets
        self._consumer.incremental_assign(places)

    def _places(self, partitions: set[int]) -> list[TopicPartition]:
        return [TopicPartition(self._settings.queue, number) for number in sorted(partitions)]

    def _on_commit(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        self._committing = False
        self._commit_failed = any(error or place.error for place in places)
        for place in places:
            failure = error or place.error
            if failure is None:
                self._committed[place.partition] = place.offset
            else:
                self._commit_at = time.monotonic() + _LOOK_WHILE_AWAY_SECONDS
                self._say(f"what is done cannot be committed yet: {described(self._settings, failure)}")

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in _AWAY or error.fatal():
            self._say(described(self._settings, error))

    def _on_error_of_partition(self, error: KafkaError) -> None:
        """Reading goes on where it can: the driver tries again by itself."""
        if error.code() != KafkaError._PARTITION_EOF:
            self._say(described(self._settings, error))

    def _say(self, problem: str) -> None:
        if not self._problem:
            self._look_at = time.monotonic() + _LOOK_WHILE_AWAY_SECONDS
        self._problem = problem
        self._tell(self._report, f"PROBLEM: {problem}")

    def _tell(self, callback: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _end(self, reason: str) -> None:
        self._arrivals.fail(reason)
        if not self._opened.done():
            self._opened.set_exception(SourceUnavailable(reason))
        self._ended.set()


def _succeed(opened: asyncio.Future[None]) -> None:
    if not opened.done():
        opened.set_result(None)
