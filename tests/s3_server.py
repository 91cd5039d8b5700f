"""An S3 (and SQS, SNS, DynamoDB) for tests: the server of `up --with-local-aws`."""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Sequence

from tests.web_server import WebServer


class S3Server(WebServer):
    """Everything in it is gone when it stops."""

    name = "s3"
    probe = "/moto-api/data.json"

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "deploy.local_aws_server", "127.0.0.1", str(self.port)]

    def create_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/{name}", method="PUT"), timeout=10).close()
