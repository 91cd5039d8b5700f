"""Sending records to queues, topics, buckets and event buses, at AWS or at whatever speaks their APIs.

For asynchronous invocations (the worker) and for what a stream's mapping gives up on (triggers). A
destination that is a function is none of these: it is invoked like any other.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

from msgspec.structs import replace

from broker.aws_clients import AwsClients
from broker.destination_requests import Notice, Request, request
from broker.errors import DestinationRefused, DestinationUnavailable
from broker.settings import Settings

log = logging.getLogger(__name__)

_THREADS = 8
_LONGEST_PAUSE_SECONDS = 30.0
_LARGE_BYTES = 262_144
"""Above this a service may refuse a body for its size (SNS and EventBridge; SQS by a queue's setting)."""
_TRY_AGAIN = frozenset(
    {
        "InternalError",
        "InternalException",
        "InternalFailure",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)


class Senders(Protocol):
    """Whoever can tell a destination."""

    async def send(self, arn: str, notice: Notice) -> None:
        """Return when the destination has it. Sent twice, it comes twice.

        Tries twice within seconds. Raises DestinationUnavailable (try again later) and DestinationRefused
        (it will not take it, ever). While a service is away it is left alone for up to 30 seconds, and
        DestinationUnavailable comes at once.
        """


class DestinationSenders:
    """Implements `Senders` with boto3, in threads. Nothing is connected before the first record."""

    def __init__(self, settings: Settings) -> None:
        self._clients = AwsClients(settings, connections=_THREADS)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="destinations")
        self._pauses = _Pauses()
        self._queue_urls: dict[tuple[str, str, str], str] = {}

    async def send(self, arn: str, notice: Notice) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._send, arn, notice)

    async def close(self) -> None:
        """Wait for what is being sent. Idempotent."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        self._clients.close()

    def _send(self, arn: str, notice: Notice) -> None:
        try:
            self._call(arn, notice)
        except DestinationRefused:
            if len(notice.body) <= _LARGE_BYTES or not notice.short_body:
                raise
            self._call(arn, replace(notice, body=notice.short_body, short_body=b""))

    def _call(self, arn: str, notice: Notice) -> None:
        try:
            asked = request(arn, notice)
        except ValueError as error:
            raise DestinationRefused(str(error)) from error
        place = asked.service, asked.region
        self._pauses.check(place)
        try:
            with _traced(notice.trace_header):
                self._perform(asked)
        except DestinationUnavailable:
            self._pauses.failed(place)
            raise
        except DestinationRefused:
            self._pauses.worked(place)
            raise
        self._pauses.worked(place)

    def _perform(self, asked: Request) -> None:
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError

        try:
            client = self._client(asked)
            members = asked.members
            if asked.queue is not None:
                members = {**members, "QueueUrl": self._queue_url(client, asked.region, *asked.queue)}
            _check_entries(getattr(client, asked.operation)(**members))
        except ClientError as error:
            self._queue_urls.clear()  # the queue may be another one by now
            raise _told(asked, error.response) from error
        except ParamValidationError as error:
            raise DestinationRefused(f"{asked.service}: {error}") from error
        except (BotoCoreError, HTTPClientError, OSError) as error:
            raise DestinationUnavailable(f"{asked.service}: {error}") from error

    def _client(self, asked: Request) -> Any:
        client = self._clients.client(asked.service, asked.region)
        client.meta.events.register_first("before-call", _add_trace, unique_id="lightswitch-trace")
        return client

    def _queue_url(self, client: Any, region: str, name: str, account: str) -> str:
        key = region, account, name
        if key not in self._queue_urls:
            found = client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
            self._queue_urls[key] = found["QueueUrl"]
        return self._queue_urls[key]


class _Pauses:
    """Which services are left alone for a while because they do not answer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[tuple[str, str], tuple[float, float]] = {}  # end, length
        self._lock = threading.Lock()

    def check(self, place: tuple[str, str]) -> None:
        """Raises DestinationUnavailable during a pause."""
        with self._lock:
            end, _ = self._until.get(place, (0.0, 0.0))
        if self._clock() < end:
            raise DestinationUnavailable(f"{place[0]} did not answer moments ago; it is tried again soon")

    def failed(self, place: tuple[str, str]) -> None:
        with self._lock:
            end, length = self._until.get(place, (0.0, 0.0))
            if self._clock() >= end:  # else others that were under way have said so already
                length = min(_LONGEST_PAUSE_SECONDS, max(0.5, length * 2))
                self._until[place] = self._clock() + length, length

    def worked(self, place: tuple[str, str]) -> None:
        with self._lock:
            self._until.pop(place, None)


_sending = threading.local()


@contextmanager
def _traced(trace_header: str) -> Iterator[None]:
    """What this thread sends carries that X-Amzn-Trace-Id, as SDKs in a function do it."""
    _sending.trace_header = trace_header
    try:
        yield
    finally:
        _sending.trace_header = ""


def _add_trace(params: dict[str, Any], **_: Any) -> None:
    if header := getattr(_sending, "trace_header", ""):
        params["headers"]["X-Amzn-Trace-Id"] = header


def _check_entries(answer: dict[str, Any]) -> None:
    """PutEvents answers 200 and says of each entry whether it was taken."""
    from botocore.exceptions import ClientError

    for entry in answer.get("Entries", []) if answer.get("FailedEntryCount") else []:
        if code := entry.get("ErrorCode"):
            raise ClientError(
                {"Error": {"Code": code, "Message": entry.get("ErrorMessage", "")}}, "PutEvents"
            )


def _told(asked: Request, response: Any) -> DestinationRefused | DestinationUnavailable:
    error = response.get("Error", {})
    code, status = error.get("Code", ""), response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = f"{asked.service}: {code}: {error.get('Message', '')}"
    if code in _TRY_AGAIN or status == 429 or status >= 500:
        return DestinationUnavailable(text)
    return DestinationRefused(text)
