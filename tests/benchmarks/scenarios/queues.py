"""Queue triggers: messages per second end to end with the CPU of each, and how soon one starts its function.

Throughput: the queue is full before the trigger is added; the clock runs from the first handler's start to
the last one's. CPU is that of all our processes, the functions included; RabbitMQ's own is not counted.
Latency: from just before the publish to the first statement of the handler, one message at a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import amqp
import redis

from deploy.credentials import Credentials
from deploy.endpoint import Endpoint
from tests.benchmarks.contestants import Contestants, System
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings
from tests.benchmarks.queue_clock import FUNCTION, QueueClock, add_latency, elapsed_seconds
from tests.benchmarks.source_bench import scratch_directory
from tests.rabbitmq_server import RabbitmqServer, find_server

PAYLOAD = b'{"order": "' + b"x" * 1000 + b'"}'
LATENCY_PROMISE_MS = 50

Send = Callable[[str, int], None]
"""Put so many messages into a queue."""


class Source(NamedTuple):
    """A server of queues."""

    name: str
    url: str
    send: Send


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """Throughput at batch 1 and 10, and latency, on RabbitMQ and Redis."""
    findings = Findings("queue triggers, 1 KB")
    script = find_server()
    if script is None:
        raise RuntimeError("no RabbitMQ on this machine")
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(scratch_directory("queues"))
        server = RabbitmqServer(script, scratch / "rabbitmq")
        stack.callback(server.close)
        server.start()
        main = contestants.main
        triggers = Triggers(main, QueueClock(main.live, scratch / "journal"))
        lists = stack.enter_context(_lists(main))
        sources = (
            Source("RabbitMQ", server.url, stack.enter_context(_rabbit(server))),
            Source("Redis", f"unix://{main.live.redis_socket}?db=9", lists),
        )
        for source in sources:
            for batch_size in (1, 10):
                queue = f"throughput-{batch_size}"
                throughput(findings, triggers, source, effort.async_invocations // 2, batch_size, queue)
            latency(findings, triggers, source)
    return findings


class Triggers:
    """Queue triggers of one system, which call the clock."""

    def __init__(self, system: System, clock: QueueClock) -> None:
        self.clock = clock
        keys = system.live.endpoint
        self._endpoint = Endpoint(system.live.url, keys.region, Credentials(keys.access_key, keys.secret_key))

    @contextlib.contextmanager
    def reading(self, url: str, queue: str, **settings: object) -> Iterator[None]:
        """A trigger, for a while."""
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


def throughput(
    findings: Findings, triggers: Triggers, source: Source, messages: int, batch_size: int, queue: str
) -> None:
    """Fill a queue of one's own, and let a trigger empty it."""
    clock = triggers.clock
    source.send(queue, messages)
    clock.clear()
    before = clock.cpu_seconds()
    with triggers.reading(source.url, queue, batch_size=batch_size):
        starts = clock.starts(messages)
        cpu_ms = (clock.cpu_seconds() - before) / messages * 1000
    findings.add(
        f"{source.name}, batch {batch_size}",
        messages_per_second=round(messages / elapsed_seconds(starts)),
        cpu_ms_per_message=round(cpu_ms, 3),
        runs=len(starts),
    )


def latency(findings: Findings, triggers: Triggers, source: Source, messages: int = 200) -> None:
    """One message at a time."""
    with triggers.reading(source.url, "latency"):
        waits = triggers.clock.latencies_ms(lambda: source.send("latency", 1), messages)
    add_latency(findings, source.name, waits, LATENCY_PROMISE_MS)


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
