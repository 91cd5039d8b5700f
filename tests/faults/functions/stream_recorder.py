"""Writes down every change of a table that it begins and ends with."""

import os
import time
from typing import Any


def note(event: str, request_id: str, label: str) -> None:
    journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND)
    os.write(journal, f"{event} {request_id} {os.getpid()} {time.time()} {label}\n".encode())
    os.close(journal)


def handler(event: dict[str, Any], context: Any) -> None:
    for record in event["Records"]:
        label = record["dynamodb"]["Keys"]["id"]["S"]
        note("start", context.aws_request_id, label)
        if label == "poison":
            raise ValueError("cannot digest this")
        time.sleep(float(os.environ["SLEEP_SECONDS"]))
        note("end", context.aws_request_id, label)
