"""AWS's own DynamoDB Local for tests."""

from __future__ import annotations

from collections.abc import Sequence

from tests.maven import libraries
from tests.web_server import WebServer

_MAIN = "software.amazon.dynamodb.services.local.main.ServerRunner"


class DynamoDBLocal(WebServer):
    """Its tables are in memory."""

    name = "dynamodb-local"

    def command(self) -> Sequence[str]:
        found = libraries(self.name, "software.amazon.dynamodb:DynamoDBLocal", "3.0.0")
        java = ["java", f"-Djava.library.path={found}", "-cp", f"{found}/*"]
        # Tests tell nobody on the network that they run.
        return [*java, _MAIN, "-port", str(self.port), "-inMemory", "-disableTelemetry"]
