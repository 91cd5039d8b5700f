"""moto's server with what its queues lack: `python -m deploy.local_aws_server HOST PORT`.

- A message keeps the `X-Amzn-Trace-Id` of the request that sent it, as its attribute `AWSTraceHeader`; also
  where a topic or a bucket put it into the queue on behalf of that request. Recursion detection needs it.
- A queue serves one request at a time. moto gives two that receive at once the same message, and may lose one
  that is sent while another is deleted.
- A long poll sees what becomes visible meanwhile, message groups included.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Condition
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.sqs.models import Message, SQSBackend, sqs_backends
from werkzeug.serving import run_simple

LOOK_AGAIN_SECONDS = 0.25
"""A message whose timeout ends tells nobody."""

WsgiApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]

_trace_header: ContextVar[str] = ContextVar("trace_header", default="")
"""Of the request that this thread answers."""


class Queues(SQSBackend):
    """The queues of one account and region."""

    __module__ = SQSBackend.__module__  # by which moto finds the paths of a backend

    def send_message(self, queue_name: str, *arguments: Any, **members: Any) -> Message:
        with self._changing(queue_name):
            message = super().send_message(queue_name, *arguments, **members)
            message.system_attributes = message.system_attributes or _traced()
        return message

    def send_message_batch(
        self, queue_name: str, entries: dict[str, dict[str, Any]]
    ) -> tuple[list[Message], list[dict[str, Any]]]:
        given = {entry["Id"]: entry.get("MessageSystemAttributes") for entry in entries.values()}
        with self._changing(queue_name):
            messages, failed = super().send_message_batch(queue_name, entries)
            for message in messages:  # moto forgets what was given with them
                message.system_attributes = given[_id_in_batch(message)] or message.system_attributes
        return messages, failed

    def receive_message(
        self, queue_name: str, count: int, wait_seconds_timeout: int, *arguments: Any, **members: Any
    ) -> list[Message]:
        ends_at = time.monotonic() + wait_seconds_timeout
        with self._alone(queue_name) as changed:
            while True:
                received = super().receive_message(queue_name, count, 0, *arguments, **members)
                left_seconds = ends_at - time.monotonic()
                if received or left_seconds <= 0:
                    return received
                changed.wait(min(LOOK_AGAIN_SECONDS, left_seconds))

    def delete_message(self, queue_name: str, receipt_handle: str) -> None:
        with self._changing(queue_name):
            super().delete_message(queue_name, receipt_handle)

    def change_message_visibility(self, queue_name: str, *arguments: Any, **members: Any) -> None:
        with self._changing(queue_name):
            super().change_message_visibility(queue_name, *arguments, **members)

    def purge_queue(self, queue_name: str) -> None:
        with self._changing(queue_name):
            super().purge_queue(queue_name)

    @contextmanager
    def _alone(self, queue_name: str) -> Iterator[Condition]:
        """No other request of the queue meanwhile, but while it waits for a change."""
        changed = self.get_queue(queue_name)._messages_lock
        with changed:
            yield changed

    @contextmanager
    def _changing(self, queue_name: str) -> Iterator[None]:
        with self._alone(queue_name) as changed:
            yield
            changed.notify_all()


def _id_in_batch(message: Any) -> str:
    """What moto notes of a message without declaring it."""
    entry_id: str = message.user_id
    return entry_id


def _traced() -> dict[str, dict[str, str]]:
    """System attributes of a message whose sender gave none."""
    header = _trace_header.get()
    return {"AWSTraceHeader": {"DataType": "String", "StringValue": header}} if header else {}


def keeping_traces(application: WsgiApplication) -> WsgiApplication:
    """The application, which knows the trace of the request that it answers."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        before = _trace_header.set(environ.get("HTTP_X_AMZN_TRACE_ID", ""))
        try:
            return application(environ, start_response)
        finally:
            _trace_header.reset(before)

    return answer


def main(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    os.environ.setdefault("MOTO_PORT", str(port))  # where it calls itself
    sqs_backends.backend = Queues
    application = keeping_traces(DomainDispatcherApplication(create_backend_app))
    run_simple(host, port, application, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
