#!/usr/bin/env python3
"""An external extension that does what the variable of its own name says, and writes down what it sees.

EXTENSION_PLAN: JSON {name: plan}. Members of a plan: events; misbehave (when) with how and status; report
("init", "exit"); work_seconds, shutdown_seconds; intrude (before the runtime starts).
"""

from __future__ import annotations

import http.server
import json
import os
import socket
import sys
import threading
import time
import urllib.error
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


class Listener(http.server.BaseHTTPRequestHandler):
    refusals = PLAN.get("refusals", 0)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        refused = Listener.refusals > 0
        Listener.refusals -= 1
        self.send_response(500 if refused else 200)
        self.end_headers()
        if not refused:
            say(batch=body, path=self.path)

    def log_message(self, *_: Any) -> None:
        """Say nothing: what is written here comes back as telemetry."""


def subscribe(wanted: Any, identity: Any) -> None:
    """Listen, and ask for what the plan says: `path` of the API, `body` without its destination."""
    if wanted.get("protocol") == "TCP":
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        threading.Thread(target=follow, args=(listening,), daemon=True).start()
        destination = {"protocol": "TCP", "port": port}
    else:
        server = http.server.ThreadingHTTPServer((wanted.get("host", "127.0.0.1"), 0), Listener)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        destination = {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{server.server_port}/told"}
    body = json.dumps({**wanted["body"], "destination": destination}).encode()
    url = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}{wanted['path']}"
    request = urllib.request.Request(url, body, identity, method="PUT")
    try:
        with urllib.request.urlopen(request) as answer:
            say(subscribed=json.loads(answer.read()))
    except urllib.error.HTTPError as error:
        say(refused=json.loads(error.read()))


def follow(listening: Any) -> None:
    connection, _ = listening.accept()
    for line in connection.makefile("rb"):
        say(batch=[json.loads(line)], path="tcp")


def intrude() -> None:
    """Find other processes whose memory can be written."""
    found = []
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        try:
            os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))
        except OSError:
            continue
        if pid != os.getpid():
            found.append(pid)
    say(writable=found)


def tick() -> None:
    while True:
        say(tick=True)
        time.sleep(0.02)


def main() -> None:
    misbehave("before registering")
    if PLAN.get("intrude"):
        intrude()
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
    if "telemetry" in PLAN:
        subscribe(PLAN["telemetry"], identity)
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
