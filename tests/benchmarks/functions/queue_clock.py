"""Writes down when it began, and for how many messages of a queue, in a file that the benchmark reads."""

import os
import time
from typing import Any

JOURNAL = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND)


def handler(event: dict[str, Any], context: object) -> None:
    started = time.time()
    if "Records" in event:
        count = len(event["Records"])
    else:
        by_queue = event.get("rmqMessagesByQueue") or event.get("records") or event["messagesByQueue"]
        count = sum(len(messages) for messages in by_queue.values())
    os.write(JOURNAL, f"{started} {count}\n".encode())
