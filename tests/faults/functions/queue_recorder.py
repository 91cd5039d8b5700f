"""Writes down every message of RabbitMQ or Kafka that it begins and ends with."""

import base64
import os
import time
from typing import Any


def note(event: str, request_id: str, label: str) -> None:
    journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND)
    os.write(journal, f"{event} {request_id} {os.getpid()} {time.time()} {label}\n".encode())
    os.close(journal)


def labels(event: dict[str, Any]) -> list[str]:
    (messages,) = (event.get("rmqMessagesByQueue") or event["records"]).values()
    return [base64.b64decode(message.get("data") or message["value"]).decode() for message in messages]


def handler(event: dict[str, Any], context: Any) -> None:
    for label in labels(event):
        note("start", context.aws_request_id, label)
        time.sleep(float(os.environ["SLEEP_SECONDS"]))
        note("end", context.aws_request_id, label)
