"""Queue triggers: messages per second end to end with the CPU of each, and how soon one starts its function.

Throughput: the queue is full before the trigger is added; the clock runs from the first handler's start to
the last one's. CPU is that of all our processes, the functions included; RabbitMQ's own is not counted.
Latency: from just before the publish to the first statement of the handler, one message at a time.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import amqp
import psutil
import redis

from deploy.credentials import Credentials
from deploy.endpoint import Endpoint
from tests.benchmarks.contestants import Contestants, System
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings
from tests.benchmarks.measurements import percentile
from tests.benchmarks.packages import python_package
from tests.rabbitmq_server import RabbitmqServer, find_server

FUNCTION = "queue-clock"
PAYLOAD = b'{"order": "' + b"x" * 1000 + b'"}'
LATENCY_PROMISE_MS = 50
PATIENCE_SECONDS = 120.0

Send = Callable[[str, int], None]
"""Put so many messages into a queue."""


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """Throughput on RabbitMQ at batch 1 and 10; latency on RabbitMQ and Redis."""
    findings = Findings("queue triggers, 1 KB")
    script = find_server()
    if script is None:
        raise RuntimeError("no RabbitMQ on this machine")
    with contextlib.ExitStack() as stack:
        # Functions have a /tmp of their own.
        scratch = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="lightswitch-queues-", dir="/var/tmp"))
        )
        scratch.chmod(0o711)
        server = RabbitmqServer(script, scratch / "rabbitmq")
        stack.callback(server.close)
        server.start()
        clock = Clock(contestants.main, scratch / "journal")
        rabbit = stack.enter_context(_rabbit(server))
        for batch_size in (1, 10):
            _throughput(findings, clock, server.url, rabbit, effort.async_invocations // 2, batch_size)
        lists = stack.enter_context(_lists(contestants.main))
        socket = contestants.main.live.redis_socket
        for name, url, send in (
            ("RabbitMQ", server.url, rabbit),
            ("Redis", f"unix://{socket}?db=9", lists),
        ):
            _latency(findings, clock, name, url, send)
    return findings


class Clock:
    """The function that writes down its starts, on one system, and triggers that call it."""

    def __init__(self, system: System, journal: Path) -> None:
        journal.touch()
        journal.chmod(0o666)
        self._journal = journal
        self._live = system.live
        keys = system.live.endpoint
        self._endpoint = Endpoint(system.live.url, keys.region, Credentials(keys.access_key, keys.secret_key))
        package = python_package("queue_clock")
        system.live.deploy(FUNCTION, package, Environment={"Variables": {"JOURNAL": str(journal)}})

    @contextlib.contextmanager
    def called_by(self, url: str, queue: str, **settings: object) -> Iterator[None]:
        """A queue trigger, for a while."""
        self._journal.write_bytes(b"")
        document = {
            "kind": "queue",
            "function": FUNCTION,
            "settings": {"url": url, "queue": queue, **settings},
        }
        trigger_id = self._endpoint.send("POST", "/triggers", document)["id"]
        try:
            yield
        finally:
            self._endpoint.send("DELETE", f"/triggers/{trigger_id}")

    def starts(self, messages: int) -> list[tuple[float, int]]:
        """When runs began, and with how many messages, once there were so many. Raises TimeoutError."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            lines = self._journal.read_text().splitlines()
            starts = [(float(at), int(count)) for at, count in (line.split() for line in lines)]
            if sum(count for _, count in starts) >= messages:
                return starts
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(starts)} runs in {PATIENCE_SECONDS:g} s")
            time.sleep(0.01)

    def cpu_seconds(self) -> float:
        """Of every process of the system so far."""
        total = 0.0
        for process in self._live.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total


def _throughput(
    findings: Findings, clock: Clock, url: str, send: Send, messages: int, batch_size: int
) -> None:
    queue = f"throughput-{batch_size}"
    send(queue, messages)
    before = clock.cpu_seconds()
    with clock.called_by(url, queue, batch_size=batch_size):
        starts = clock.starts(messages)
        cpu_ms = (clock.cpu_seconds() - before) / messages * 1000
    elapsed = max(at for at, _ in starts) - min(at for at, _ in starts)
    findings.add(
        f"RabbitMQ, batch {batch_size}",
        messages_per_second=round(messages / elapsed),
        cpu_ms_per_message=round(cpu_ms, 3),
        runs=len(starts),
    )


def _latency(findings: Findings, clock: Clock, name: str, url: str, send: Send, messages: int = 200) -> None:
    with clock.called_by(url, "latency"):
        send("latency", 1)
        clock.starts(1)
        waits = []
        for number in range(2, messages + 2):
            sent = time.time()
            send("latency", 1)
            waits.append((clock.starts(number)[-1][0] - sent) * 1000)
    waits.sort()
    findings.add(
        f"{name}, published to handler's start",
        p50_ms=round(percentile(waits, 50), 2),
        p99_ms=round(percentile(waits, 99), 2),
    )
    promise = f"{name} message to handler's start, p50"
    findings.promise(promise, percentile(waits, 50), "at most", LATENCY_PROMISE_MS, "ms")


@contextlib.contextmanager
def _rabbit(server: RabbitmqServer) -> Iterator[Send]:
    with amqp.Connection(f"127.0.0.1:{server.port}") as connection:
        channel = connection.channel()

        def send(queue: str, count: int) -> None:
            channel.queue_declare(queue, durable=True, auto_delete=False)
            for _ in range(count):
                channel.basic_publish(amqp.Message(PAYLOAD, delivery_mode=2), "", queue)

        yield send


@contextlib.contextmanager
def _lists(system: System) -> Iterator[Send]:
    client: Any = redis.Redis(unix_socket_path=str(system.live.redis_socket), db=9)

    def send(queue: str, count: int) -> None:
        client.lpush(queue, *[PAYLOAD] * count)

    yield send
    client.close()
