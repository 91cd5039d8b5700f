"""The broker's contract. One suite, `tests/contract/broker/`, holds every implementation to it.

An implementation moves invocations from publishers to consumers at least once (async) or at most
once (sync, poll), never runs a function above its reserved concurrency, and never loses what it accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from broker.errors import BrokerError
from broker.invocation import Invocation, Outcome, Pending, Reply

Placement = Literal["delivered", "queued", "parked"]
"""Where a published message went: straight to a worker, on a lane, or behind its concurrency gate."""

Metric = Literal["RecursiveInvocationsDropped"]
"""What is counted for operators, in CloudWatch's words: calls and events that were stopped as recursive."""


IMAGES = "image"
"""Stands among a worker's runtimes for container images."""

STREAM_WINDOW_BYTES = 256 * 1024
"""How far a streamed reply may be ahead of who reads it."""


class Depth(msgspec.Struct, frozen=True):
    """How much work the broker holds, for autoscalers and operators."""

    queued: int
    running: int
    parked: int
    delayed: int


class WorkerInfo(msgspec.Struct, frozen=True):
    """A registered consumer. `epoch` is fresh for every process start; `alive` says its lease is current."""

    epoch: str
    host: str
    pid: int
    capacity: int
    running: int
    started_ms: int
    alive: bool
    runtimes: tuple[str, ...] = ()
    """What it can run; `IMAGES` stands for container images."""


class Delivery(Protocol):
    """One message in the hands of one consumer, under the consumer's lease until it is settled.

    Settle exactly once; `amend` does not settle. Each call returns False when the lease had lapsed and the
    message went to another consumer (fenced): then nothing was changed and the caller must drop its result.
    """

    @property
    def invocation(self) -> Invocation: ...

    @property
    def attempt(self) -> int:
        """1 for the first run; counts up with every charged release."""

    @property
    def deliveries(self) -> int:
        """1 for the first delivery; counts every time a consumer was given the message."""

    @property
    def losses(self) -> int:
        """How often a consumer died, or lost its lease, while it held the message."""

    def placed(self) -> None:
        """It has its environment: the numbers in `Consumer.offer` know of it from now on. Idempotent;
        whatever settles it says so too."""

    async def ack(self, outcome: Outcome | None = None, then: Sequence[Invocation] = ()) -> bool:
        """Done: forget the message, free its concurrency slot, store `outcome`, enqueue `then`.

        All of it happens or none where the technology can; else in the order `then`, `outcome`, forget.
        """

    def ack_lazily(self, outcome: Outcome | None = None) -> None:
        """Done, and nobody waits for the slot: as `ack`, but some milliseconds later, together with others.

        Returns at once; a lost connection is waited out. A consumer that closes finishes these first.
        """

    async def amend(self, invocation: Invocation) -> bool:
        """Replace the message (async only) and keep it: who gets it after a release, or when this consumer
        is gone, gets `invocation`, which has the same request id. False: fenced.

        This delivery's `invocation` is the new one from now on. One with a `sequel` counts against no
        reserved concurrency any more.
        """

    async def release(self, delay_seconds: float, *, charge: bool) -> bool:
        """Give it back, to be delivered again no sooner than `delay_seconds` from now.

        `charge` counts an attempt (a retry); without it this is no failed attempt (drain). The
        concurrency slot is free meanwhile.
        """

    async def dead_letter(self, outcome: Outcome) -> bool:
        """Set the message aside for good, with `outcome`, whose `dead_letter` field is filled in here."""


class Consumer(Protocol):
    """A worker's end of the broker: registered under `epoch`, with one lease for all that it holds."""

    @property
    def epoch(self) -> str: ...

    async def receive(self, max_messages: int, wait_seconds: float) -> Sequence[Delivery]:
        """Up to `max_messages` deliveries, sync before async; empty after `wait_seconds` without one.

        Never holds more unsettled messages than the consumer's capacity. Cancelling loses nothing: what
        had arrived is given to the next call. Raises LeaseLost, BrokerUnavailable (try again).
        """

    def offer(self, available: Mapping[tuple[str, str], int]) -> None:
        """Say how many provisioned environments of these (function name, version) have no work here; below 0:
        it has none of them any more, busy or not.

        Invocations that are `provisioned` go first to who offers most, and each counts as one less: also in
        the numbers that are told before it is `placed`. A preference, no promise: it returns at once, and
        what is lost is said again by the next call. To be repeated within ten seconds.
        """

    async def announce(self, runtimes: Sequence[str]) -> None:
        """Show these runtimes in `workers` from now on. Raises BrokerUnavailable."""

    async def stop(self) -> None:
        """Receive no more; deliveries under way stay leased until they are settled. Idempotent."""

    async def close(self) -> None:
        """Release all that is unsettled, uncharged, and sign off. Idempotent."""


class ReplyStream(Protocol):
    """The answering end of a reply that goes out bit by bit: bytes in their order, then one `Reply`.

    Nothing here waits or fails. What is written is kept until the asker has read it, through outages of the
    server too; once the asker is gone, all is dropped and there is always room.
    """

    @property
    def has_room(self) -> bool:
        """False while the asker is STREAM_WINDOW_BYTES behind: write no more until `when_room` calls."""

    def when_room(self, resume: Callable[[], None]) -> None:
        """Call `resume` once, on the loop, as soon as there is room. Must not raise."""

    def write(self, chunk: bytes) -> None:
        """The next bytes. What is written in one tick of the loop may arrive as one piece."""

    def end(self, reply: Reply) -> None:
        """The last word, delivered after all that was written; `streamed_bytes` is filled in here.

        Its payload is empty, or says what went wrong where `failure` is set.
        """


class IncomingStream(Protocol):
    """The asking end of such a reply. A worker that answers at once sends the `Reply` alone."""

    @property
    def content_type(self) -> str:
        """What the function says that its bytes are; known with the first of them."""

    async def read(self) -> bytes | Reply:
        """The next bytes, or the `Reply` after which nothing comes. Reading on frees what was read before.

        Cancelling loses nothing.
        """

    def close(self) -> None:
        """Read no more; the writer is told. Idempotent."""


class ReplyInbox(Protocol):
    """Where replies for this process arrive."""

    @property
    def address(self) -> str:
        """For `Invocation.reply_to`."""

    def expect(self, request_id: str, deliver: Callable[[Reply], None]) -> None:
        """Call `deliver` once, on the loop, when the reply comes. Must not raise."""

    def expect_stream(self, request_id: str) -> IncomingStream:
        """Wait for the reply to an invocation with `takes_stream`; close what is returned."""

    def forget(self, request_id: str) -> None:
        """No longer wait; unknown ids are fine."""


class Broker(Protocol):
    """The asker's end of the broker, and the door to the others."""

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable."""

    async def close(self) -> None:
        """Disconnect; consumers are closed by their owners first. Idempotent."""

    async def publish(self, invocation: Invocation) -> Placement:
        """Accept an invocation; when this returns, an async one is durable.

        Raises Throttled (sync over the function's reserved concurrency) and BrokerUnavailable; after the
        latter the message may or may not have been accepted.
        """

    async def publish_once(self, invocation: Invocation) -> bool:
        """As `publish`, for an async invocation whose request id says what it is about.

        False, and nothing is enqueued, where this method accepted that request id before, within an hour and
        whatever has become of it since.
        """

    def submit(self, invocation: Invocation, refused: Callable[[BrokerError], None]) -> None:
        """As `publish`, for who waits for the reply anyway: returns at once.

        `refused` is called, on the loop, with what `publish` would have raised. Must not raise.
        """

    async def withdraw(self, invocation: Invocation) -> bool:
        """The caller is gone: forget a message that no consumer has yet. True if it was still waiting."""

    async def consumer(self, capacity: int, runtimes: Sequence[str] = ()) -> Consumer:
        """Register a consumer that may hold `capacity` unsettled messages.

        `runtimes` are shown in `workers`."""

    async def inbox(self) -> ReplyInbox:
        """This process's inbox, made at the first call."""

    async def reply(self, reply_to: str, reply: Reply) -> None:
        """Answer a caller. A caller that is gone is no error."""

    def stream(self, reply_to: str, request_id: str, content_type: str = "") -> ReplyStream:
        """Answer a caller bit by bit; only where `Invocation.takes_stream` says that it reads so."""

    async def outcome(self, request_id: str) -> Outcome | Pending | None:
        """How an async invocation ended; None where the id is unknown or its record has expired."""

    async def set_limit(self, function_name: str, limit: int | None) -> None:
        """Reserved concurrency of a function, over the whole fleet; None removes it.

        Raising or removing it lets parked messages go at once. 0 throttles every sync message and lets
        async ones pass without a slot: the worker ends them unrun (ZeroReservedConcurrency).
        """

    async def depth(self) -> Depth: ...

    def count(self, metric: Metric, function_name: str) -> None:
        """Add one for the function. Never waits, never fails: what no server takes is not counted."""

    async def counts(self) -> Mapping[Metric, Mapping[str, int]]:
        """All that was ever counted: metric, function name, how often."""

    async def workers(self) -> Sequence[WorkerInfo]: ...

    async def ping(self) -> None:
        """Raises BrokerUnavailable when the server does not answer."""
