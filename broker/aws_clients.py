"""boto3 clients for the services beside us, made once each, at the endpoints that the operator configured."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from broker.settings import Settings

_CONNECT_SECONDS = 3
_READ_SECONDS = 10
_ENDPOINT_NAMES = {"events": "EVENTBRIDGE", "dynamodbstreams": "DYNAMODB_STREAMS"}
"""Services whose variable is not named as boto3 names their client."""


class AwsClients:
    """Clients by service and region, safe to share between threads. Credentials come from where boto3 looks.

    To be called off the event loop: making a client takes some hundredths of a second.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        read_seconds: float = _READ_SECONDS,
        attempts: int = 2,
        connections: int = 10,
    ) -> None:
        self._region = settings.region
        self._endpoint_urls = settings.endpoint_urls
        self._options: dict[str, Any] = {
            "connect_timeout": _CONNECT_SECONDS,
            "read_timeout": read_seconds,
            "retries": {"mode": "standard", "total_max_attempts": attempts},
            "max_pool_connections": connections,
        }
        self._clients: dict[tuple[str, str], Any] = {}
        self._making = threading.Lock()

    def client(self, service: str, region: str = "") -> Any:
        """The client of a service (`sqs`, `events`, ...); an empty region is the installation's own."""
        key = service, region or self._region
        with self._making:
            if key not in self._clients:
                self._clients[key] = self._make(*key)
            return self._clients[key]

    def close(self) -> None:
        """Hang up. Idempotent."""
        with self._making:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _make(self, service: str, region: str) -> Any:
        import boto3  # a process that never calls a service need not carry it
        from botocore.config import Config

        endpoint_url = endpoint_of(service, self._endpoint_urls)
        # Another endpoint than AWS's seldom has a host name for every bucket.
        style = {"s3": {"addressing_style": "path"}} if service == "s3" and endpoint_url else {}
        session = boto3.session.Session(region_name=region)
        return session.client(service, endpoint_url=endpoint_url, config=Config(**self._options, **style))


def endpoint_of(service: str, endpoint_urls: Mapping[str, str]) -> str | None:
    """Where a service is, by `AWS_ENDPOINT_URL_SERVICE`, else `AWS_ENDPOINT_URL`; None is AWS itself."""
    name = _ENDPOINT_NAMES.get(service, service.upper())
    return endpoint_urls.get(f"AWS_ENDPOINT_URL_{name}") or endpoint_urls.get("AWS_ENDPOINT_URL")
