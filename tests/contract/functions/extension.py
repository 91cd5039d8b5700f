#!/usr/bin/env python3
"""An external extension that does what the variable of its own name says, and writes down what it sees.

EXTENSION_PLAN: JSON {name: plan}. Members of a plan: events; misbehave (when) with how and status; report
("init", "exit"); work_seconds, shutdown_seconds.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import urllib.request
from typing import Any

API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2020-01-01/extension"
NAME = os.path.basename(sys.argv[0])
PLAN = json.loads(os.environ.get("EXTENSION_PLAN", "{}")).get(NAME, {})


def say(**what: Any) -> None:
    os.write(1, (json.dumps({"extension": NAME, **what}) + "\n").encode())


def call(path: str, body: Any = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{API}/{path}", data, headers)
    with urllib.request.urlopen(request) as answer:
        return answer.headers, json.loads(answer.read())


def misbehave(moment: str) -> None:
    if PLAN.get("misbehave") != moment:
        return
    if PLAN.get("how") == "hang":
        time.sleep(3600)
    if PLAN.get("how") == "flood":
        while True:
            os.write(1, b"y" * 8000 + b"\n")
    sys.exit(PLAN.get("status", 3))


def tick() -> None:
    while True:
        say(tick=True)
        time.sleep(0.02)


def main() -> None:
    misbehave("before registering")
    headers, function = call(
        "register",
        {"events": PLAN.get("events", ["INVOKE", "SHUTDOWN"])},
        **{"Lambda-Extension-Name": NAME, "Lambda-Extension-Accept-Feature": "accountId"},
    )
    identity = {"Lambda-Extension-Identifier": headers["Lambda-Extension-Identifier"]}
    say(registered=function, variables=sorted(os.environ), directory=os.getcwd())
    for phase in ("init", "exit"):
        if PLAN.get("report") == phase:
            call(
                f"{phase}/error",
                {},
                **identity,
                **{"Lambda-Extension-Function-Error-Type": "Extension.Sorry"},
            )
            sys.exit(0)
    misbehave("in init")
    if PLAN.get("ticks"):
        threading.Thread(target=tick, daemon=True).start()
    while True:
        _, event = call("event/next", **identity)
        say(event=event)
        if event["eventType"] == "SHUTDOWN":
            misbehave("at shutdown")
            time.sleep(PLAN.get("shutdown_seconds", 0))
            say(leaves=True)
            sys.exit(0)
        misbehave("in invoke")
        time.sleep(PLAN.get("work_seconds", 0))
        misbehave("after work")
        say(done=event["requestId"])


main()
