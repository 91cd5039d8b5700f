"""Writes down when it begins and ends, so that a test knows what really ran, whoever was killed meanwhile."""

import os
import time
from typing import Any

with open("/proc/self/stat") as stat:
    # A pid means something in its namespace only; with its start (ticks since boot) it is known everywhere.
    STARTED_AT = stat.read().rpartition(")")[2].split()[19]


def note(event: str, request_id: str, label: str) -> None:
    journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND)
    process = f"{STARTED_AT}:{os.getpid()}"
    os.write(journal, f"{event} {request_id} {process} {time.time()} {label}\n".encode())
    os.close(journal)


note("init", "-", "-")
time.sleep(float(os.environ.get("INIT_SECONDS", "0")))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    label = event.get("label", "-")
    note("start", context.aws_request_id, label)
    time.sleep(event.get("sleep_seconds", 0))
    note("end", context.aws_request_id, label)
    return event
