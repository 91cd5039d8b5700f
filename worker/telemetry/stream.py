"""The telemetry of one environment: from what happens in it to its subscribers."""

from __future__ import annotations

import asyncio
import time

from worker.telemetry.delivery import Connect, sender_for
from worker.telemetry.records import Category, Event, Record
from worker.telemetry.subscriber import Subscriber
from worker.telemetry.subscription import InvalidSubscription, Subscription

EVENT_BYTES = 200
"""What an event takes beside its text; an empty line takes it, too."""

MOST_LINES = 500
"""Of what is read at once; the rest of it is one more, so that a flood does not hold up the worker."""

MOST_EARLY_BYTES = 262_144
LONGEST_LINE_BYTES = 262_144


class Telemetry:
    """What happened before, while the environment came up, is kept until then: extensions subscribe in the
    middle of init and hear of its beginning, as on AWS.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._subscribers: dict[str, tuple[Subscription, Subscriber]] = {}
        self._early: list[Event] | None = []
        self._early_bytes = 0
        self._unfinished: dict[Category, bytes] = {}

    @property
    def has_subscribers(self) -> bool:
        """Somebody hears."""
        return bool(self._subscribers)

    def subscribe(self, name: str, subscription: Subscription) -> None:
        """Begin to tell an extension, or tell it something else from now on. Raises InvalidSubscription."""
        before = self._subscribers.get(name)
        if before is not None and before[0] == subscription:
            return
        for other, _ in self._subscribers.values():
            if (other.schema < "2022") != (subscription.schema < "2022"):
                raise InvalidSubscription("the function is subscribed to the other of the two APIs already")
        if before is not None:
            before[1].close()
        subscriber = Subscriber(subscription, sender_for(subscription, self._connect))
        self._subscribers[name] = (subscription, subscriber)
        for event in self._early or ():
            subscriber.tell(event)
        types = sorted(subscription.types)
        self.tell("platform.telemetrySubscription", {"name": name, "state": "Subscribed", "types": types})

    def tell(self, kind: str, record: Record, *, at: float = 0.0, category: Category = "platform") -> None:
        """Something happened, now or `at` (epoch seconds)."""
        early = self._early if self._early_bytes < MOST_EARLY_BYTES else None
        if early is None and not self._subscribers:
            return
        event = Event(at or time.time(), category, kind, record)
        if early is not None:
            early.append(event)
            self._early_bytes += EVENT_BYTES + (len(record) if isinstance(record, str) else 0)
        for _, subscriber in self._subscribers.values():
            subscriber.tell(event)

    def tell_output(self, category: Category, text: bytes) -> None:
        """The function, or an extension, wrote: an event for each line."""
        *lines, rest = (self._unfinished.pop(category, b"") + text).split(b"\n")
        if len(rest) > LONGEST_LINE_BYTES:
            lines, rest = [*lines, rest], b""
        if rest:
            self._unfinished[category] = rest
        if len(lines) > MOST_LINES:
            lines[MOST_LINES:] = [b"\n".join(lines[MOST_LINES:])]
        for line in lines:
            self.tell(category, line.decode(errors="replace"), category=category)

    def end_lines(self) -> None:
        """A run is over: what was written last is a line, too."""
        for category in list(self._unfinished):
            self.tell_output(category, b"\n")

    def forget_early(self) -> None:
        """Init is over: nobody may subscribe any more."""
        self._early = None

    def pause(self) -> None:
        """The environment is frozen."""
        for _, subscriber in self._subscribers.values():
            subscriber.pause()

    def resume(self) -> None:
        """It goes on."""
        for _, subscriber in self._subscribers.values():
            subscriber.resume()

    async def flush(self, seconds: float) -> None:
        """The environment goes on for its end: send all there is, within this time if possible."""
        self.resume()
        for _, subscriber in self._subscribers.values():
            subscriber.flush()
        sending = {task for _, subscriber in self._subscribers.values() if (task := subscriber.sending)}
        if sending:
            await asyncio.wait(sending, timeout=seconds)

    def close(self) -> None:
        """The environment is gone. Idempotent."""
        for _, subscriber in self._subscribers.values():
            subscriber.close()
