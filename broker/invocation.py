"""An invocation: the message that crosses the broker, and the reply and outcome that answer it.

Step of the story: whoever asks (gateway, trigger) makes an `Invocation`; the worker that runs it answers
a waiting caller with a `Reply` and leaves an `Outcome` for an asynchronous one.
"""

from __future__ import annotations

import os
import time
from typing import Literal

import msgspec

Kind = Literal["sync", "async", "poll"]
"""`sync`: a caller waits. `async`: durable and retried. `poll`: an event
source waits, keeps what it sent and sends it again where no reply comes; to the broker it is as `sync`."""

Condition = Literal[
    "Success", "RetriesExhausted", "EventAgeExceeded", "ZeroReservedConcurrency", "RecursiveInvocation"
]
"""Why an asynchronous invocation ended, in the words of a destination record.

AWS's, but for the last, whose word is not documented."""

LATEST = "$LATEST"


Status = Literal["succeeded", "failed", "expired"]


class Outcome(msgspec.Struct, frozen=True):
    """The one terminal state of an accepted asynchronous invocation."""

    request_id: str
    function_name: str
    version: str
    status: Status
    attempts: int
    """How often the function was run to an end."""
    deliveries: int
    """How often a worker received it: above `attempts`, a worker died or drained while it held it."""
    finished_ms: int
    reason: str = ""
    """Why it failed or expired, in AWS's destination conditions where one fits."""
    error: str = ""
    """Error document of the last attempt, cut to 2 KB."""
    dead_letter: str = ""
    """Where the event or its record went: ARNs of destination and dead letter queue, or `dead-letter/<id>`;
    empty where nowhere."""
    destination_error: str = ""
    """Why a destination or dead letter queue was not told."""


class Tell(msgspec.Struct, frozen=True, array_like=True):
    """Somebody who is to hear of an end: a destination (`record`) or a dead letter queue (`event`)."""

    arn: str
    what: Literal["record", "event"]


class Sequel(msgspec.Struct, frozen=True, array_like=True):
    """What is left to do for an asynchronous invocation that has ended: telling others.

    `outcome` is what will be stored once they know; `told` those who do already.
    """

    outcome: Outcome
    condition: Condition
    tells: tuple[Tell, ...]
    told: tuple[str, ...] = ()
    response: bytes | None = None
    """Of the last run; None where there was none, or we failed."""
    function_error: str = ""


class Invocation(msgspec.Struct, frozen=True, array_like=True):
    """One request to run a function.

    `function_name` and `version` say what runs; `invoked_arn` is the ARN as the caller wrote it (with
    its qualifier) and is what the function's context shows. `generation` is the registry generation that
    the asker saw: a worker with an older copy of the function must refresh it first. Times are epoch
    milliseconds: after `deadline_ms` nobody wants the result any more (sync: the caller has gone; async:
    the event is too old). `reply_to` is the address of the caller's inbox, empty where nobody waits.
    """

    request_id: str
    kind: Kind
    function_name: str
    version: str
    generation: int
    invoked_arn: str
    payload: bytes
    accepted_ms: int
    deadline_ms: int
    reply_to: str = ""
    trace_header: str = ""
    """`X-Amzn-Trace-Id`, handed to the function as `_X_AMZN_TRACE_ID`."""
    traceparent: str = ""
    """W3C trace context of the asker's span, empty while tracing is off."""
    client_context: str = ""
    """JSON text, already decoded from base64."""
    log_tail: bool = False
    """The caller asked for `LogType: Tail`."""
    qualifier: str = ""
    """Alias or version as asked for; picks the event invoke config."""
    takes_stream: bool = False
    """The caller reads the reply bit by bit, if the function writes it so."""
    sequel: Sequel | None = None
    """Set once it has ended: a worker tells whom it names, and does not run the function (again)."""
    provisioned: bool = False
    """The version has provisioned concurrency: workers that offer some are asked first."""
    initialize: bool = False
    """Of a version with SnapStart that was just published: initialise it and make it active, or failed; run
    nothing. Asynchronous."""


Failure = Literal["", "Unhandled", "Handled", "Platform"]
"""Empty: success. `Unhandled` and `Handled` are AWS's FunctionError; `Platform` means that we failed."""


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """What the caller of a sync or poll invocation gets.

    For `failure == "Platform"` the payload is a plain-text reason and the caller should answer 5xx.
    """

    request_id: str
    payload: bytes
    failure: Failure = ""
    executed_version: str = LATEST
    log_tail: bytes = b""
    """The last 4 KB of the invocation's log, only where `Invocation.log_tail` asked for it."""
    streamed_bytes: int = 0
    """How much came before this, bit by bit; `payload` then has an error document or nothing."""


class Pending(msgspec.Struct, frozen=True):
    """An accepted asynchronous invocation that has not ended yet."""

    request_id: str
    status: Literal["pending"] = "pending"


def new_request_id() -> str:
    """A random UUID (version 4), as AWS's request ids are; at a third of `uuid.uuid4`'s cost."""
    return _uuid(os.urandom(16).hex())


class RequestIds:
    """`new_request_id` for who needs many: one system call draws for a hundred of them."""

    def __init__(self) -> None:
        self._digits = ""
        self._next = 0

    def new(self) -> str:
        """A request id that nobody had before."""
        start = self._next
        if start == len(self._digits):
            self._digits, start = os.urandom(100 * 16).hex(), 0
        self._next = start + 32
        return _uuid(self._digits[start : self._next])


def _uuid(digits: str) -> str:
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def now_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000
