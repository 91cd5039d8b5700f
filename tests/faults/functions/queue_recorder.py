"""Writes down every RabbitMQ message that it begins and ends with."""

import base64
import os
import time
from typing import Any


def note(event: str, request_id: str, label: str) -> None:
    journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND)
    os.write(journal, f"{event} {request_id} {os.getpid()} {time.time()} {label}\n".encode())
    os.close(journal)


def handler(event: dict[str, Any], context: Any) -> None:
    (messages,) = event["rmqMessagesByQueue"].values()
    for message in messages:
        label = base64.b64decode(message["data"]).decode()
        note("start", context.aws_request_id, label)
        time.sleep(float(os.environ["SLEEP_SECONDS"]))
        note("end", context.aws_request_id, label)
