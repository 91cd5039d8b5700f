"""What the contract suite has functions do, whatever their runtime."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from typing import Any


def echo(event: Any, context: Any) -> Any:
    return event


def fail(event: Any, context: Any) -> Any:
    raise ValueError("boom")


def talk(event: Any, context: Any) -> Any:
    print("to stdout")
    print("to stderr", file=sys.stderr)
    os.write(1, b"past the streams\n")
    sys.stdout.write("no line end")
    return "said"


def flood(event: Any, context: Any) -> Any:
    for number in range(event):
        print(f"{number:0>99}")
    return event


def sleep(event: Any, context: Any) -> Any:
    print("sleeping")
    time.sleep(event)
    return "slept"


def leave(event: Any, context: Any) -> Any:
    sys.exit(event)


def die(event: Any, context: Any) -> Any:
    os.kill(os.getpid(), getattr(signal, event))
    time.sleep(60)


def describe(event: Any, context: Any) -> Any:
    return {
        "environ": dict(os.environ),
        "directory": os.getcwd(),
        "uid": os.getuid(),
        "remaining_ms": context.get_remaining_time_in_millis(),
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "log_stream": context.log_stream_name,
        "custom": context.client_context.custom if context.client_context else None,
    }


def leave_children(event: Any, context: Any) -> Any:
    """Children, with the event in their command line, that try to get away: one plain, one in a session of
    its own, one orphaned, one that also forgets its environment."""
    script = "import os, sys, time; print(os.getpid(), flush=True); os.close(1); time.sleep(600)"
    command = [sys.executable or "/usr/bin/python3", "-I", "-S", "-c", script, event]
    plain = subprocess.Popen(command, stdout=subprocess.PIPE)
    session = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    orphan = subprocess.run(
        ["/bin/sh", "-c", 'setsid "$0" "$@" &', *command], stdout=subprocess.PIPE, check=True
    )
    nameless = subprocess.run(
        ["/bin/sh", "-c", 'setsid env -i "$0" "$@" &', *command], stdout=subprocess.PIPE, check=True
    )
    assert plain.stdout is not None
    assert session.stdout is not None
    lines = [plain.stdout.readline(), session.stdout.readline(), orphan.stdout, nameless.stdout]
    return [int(line) for line in lines]


def large(event: Any, context: Any) -> Any:
    return "x" * (event - 2)


def number(event: Any, context: Any) -> Any:
    return {"price": Decimal("12.50"), "name": "ä"}


def unencodable(event: Any, context: Any) -> Any:
    return {"set": {1}}


def use_temporary_files(event: Any, context: Any) -> Any:
    path = os.path.join(os.environ["TMPDIR"], "kept")
    with open(path, "a+") as file:
        file.write("x")
        file.seek(0)
        return len(file.read())


def tell_of_termination(event: Any, context: Any) -> Any:
    def leave(*_: Any) -> None:
        os.write(1, b"runtime terminated\n")
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)
    return "set"
