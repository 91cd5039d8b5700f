"""ElasticMQ, an SQS server of its own make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.maven import libraries
from tests.web_server import WebServer

LAUNCHER = Path(__file__).with_name("Launch.java")


class ElasticMq(WebServer):
    """Its queues are gone when it stops."""

    name = "elasticmq"
    probe = "/health"

    def __init__(self, directory: Path, heap: str = "256m") -> None:
        super().__init__(directory)
        self._heap = heap

    def command(self) -> Sequence[str]:
        jars = libraries(self.name, "org.elasticmq:elasticmq-rest-sqs_3", "1.7.1")
        java = ["java", f"-Xmx{self._heap}", "-XX:+UseSerialGC", "-cp", f"{jars}/*"]
        # Its server takes 1,024 connections, and does not answer more; SQS knows no such limit.
        java.insert(1, "-Dpekko.http.server.max-connections=4096")
        return [*java, str(LAUNCHER), str(self.port)]
