"""A real Kafka broker for tests: one node in KRaft mode from Maven Central, on loopback, killed at will."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.maven import libraries
from tests.web_server import Unavailable, WebServer

_VERSION = "3.9.1"
"""The last line of releases that runs on Java 11 and 17."""


class KafkaServer(WebServer):
    """Keeps its topics over `stop` and `start`. Topics are made by whoever needs them. With a `user` it asks
    clients for the password."""

    name = "kafka"

    def __init__(self, directory: Path, heap: str = "256m", user: str = "", password: str = "") -> None:
        super().__init__(directory, _quiet_port())
        self._heap = heap
        self.servers = f"127.0.0.1:{self.port}"
        self.url = f"kafka://{self.servers}"
        self._user, self._password = user, password
        signing_in = {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": user,
            "sasl.password": password,
        }
        self._client: dict[str, Any] = {
            "bootstrap.servers": self.servers,
            "log_level": 0,
            **(signing_in if user else {}),
        }
        self._producer: Any = None
        self._controller = f"127.0.0.1:{_quiet_port()}"

    def command(self) -> Sequence[str]:
        found = libraries(self.name, "org.apache.kafka:kafka_2.13", _VERSION)
        _need_the_driver()
        # A short-lived server: compiling it well would cost more than it saves.
        java = [
            "java",
            f"-Xmx{self._heap}",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            f"{found}/*",
        ]
        properties = self.directory / "server.properties"
        if not properties.exists():
            self._format(java, properties)
        return [*java, "kafka.Kafka", str(properties)]

    def variables(self) -> Mapping[str, str]:
        return {"LOG_DIR": str(self.directory / "logs")}

    def make_topic(self, name: str, partitions: int = 1) -> None:
        from confluent_kafka.cimpl import NewTopic

        client = self._administrator()  # its answers come for as long as it is kept
        client.create_topics([NewTopic(name, num_partitions=partitions)])[name].result(10)

    def delete_topic(self, name: str) -> None:
        client = self._administrator()
        client.delete_topics([name])[name].result(10)
        self._producer = None

    def add_partitions(self, topic: str, total: int) -> None:
        from confluent_kafka.cimpl import NewPartitions

        client = self._administrator()
        client.create_partitions([NewPartitions(topic, total)])[topic].result(10)
        self._producer = None  # it would learn of them only later

    def send(self, topic: str, *values: str | bytes | None, **more: Any) -> None:
        """Return when the broker has them, in order; `partition`, `key`, `headers` as the driver's."""
        from confluent_kafka import Producer

        if self._producer is None:
            self._producer = Producer({**self._client, "linger.ms": 0})
        failures: list[object] = []
        for value in values:
            self._producer.produce(
                topic, value, **more, on_delivery=lambda error, _: failures.append(error) if error else None
            )
            self._producer.poll(0)
        assert self._producer.flush(20) == 0
        assert not failures

    def records(self, topic: str) -> list[Any]:
        """All that is in partition 0 of a topic."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({**self._client, "group.id": "looks"})
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), 10)
        consumer.assign([TopicPartition(topic, 0, 0)])
        found: list[Any] = []
        while len(found) < end:
            found += consumer.consume(end - len(found), 0.2)
        consumer.close()
        return found

    def committed(self, group: str, topic: str, partition: int = 0) -> int:
        """The offset that a group has come to; negative where it has none."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({**self._client, "group.id": group})
        (place,) = consumer.committed([TopicPartition(topic, partition)], 10)
        consumer.close()
        return int(place.offset)

    def forget(self, group: str) -> None:
        """What it has committed, as after a week of silence."""
        client = self._administrator()
        client.delete_consumer_groups([group])[group].result(10)

    def _format(self, java: Sequence[str], properties: Path) -> None:
        text = _PROPERTIES.format(servers=self.servers, controller=self._controller, folder=self.directory)
        if self._user:
            users = {"user": self._user, "password": self._password}
            text = text.replace("CLIENTS:PLAINTEXT", "CLIENTS:SASL_PLAINTEXT") + _WITH_USERS.format(**users)
        properties.write_text(text)
        tool = [*java, "kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw"]
        subprocess.run([*tool, "-c", str(properties)], check=True, capture_output=True, timeout=60)

    def _administrator(self) -> Any:
        from confluent_kafka.admin import AdminClient

        return AdminClient(self._client)

    def _answers(self) -> bool:
        from confluent_kafka import KafkaException

        try:
            return bool(self._administrator().list_topics(timeout=1).brokers)
        except KafkaException:
            return False


def _need_the_driver() -> None:
    try:
        import confluent_kafka
    except ImportError as error:
        raise Unavailable(f"no confluent-kafka to speak to Kafka with: {error}") from error
    assert confluent_kafka.libversion()


def _quiet_port() -> int:
    """Free, and not one that the kernel gives to outgoing connections: whoever tries to reach a server that
    is away may get such a port himself, and then the server cannot come back to it."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
listeners=CLIENTS://{servers},CONTROLLER://{controller}
advertised.listeners=CLIENTS://{servers}
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENTS
controller.listener.names=CONTROLLER
log.dirs={folder}/data
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.cleaner.enable=false
num.network.threads=1
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=200
num.io.threads=2
"""

_WITH_USERS = """\
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.clients.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required \
username="{user}" password="{password}" user_{user}="{password}";
"""
