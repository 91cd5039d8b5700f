"""What the tests of hooks share: making a trigger, posting to it, counting what was enqueued."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from deploy.credentials import Credentials
from deploy.endpoint import Endpoint
from tests.integration.gateway.conftest import KEY, RunningGateway


def endpoint(gateway: RunningGateway) -> Endpoint:
    """The gateway as the command line reaches it."""
    keys = Credentials(KEY.access_key_id, KEY.secret_access_key)
    return Endpoint(gateway.url, gateway.settings.region, keys)


def add_trigger(gateway: RunningGateway, kind: str, function: str, **settings: Any) -> Any:
    """A new trigger, secrets included."""
    document = {"kind": kind, "function": function, "settings": settings}
    return endpoint(gateway).send("POST", "/triggers", document)


def post(
    gateway: RunningGateway,
    path: str,
    body: bytes | str,
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
) -> tuple[int, Any]:
    """Status and JSON of the answer to an unsigned request below `/lightswitch/hooks`."""
    connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=20)
    try:
        connection.request(method, f"/lightswitch/hooks{path}", body or None, dict(headers or {}))
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else None
    finally:
        connection.close()


def enqueued(gateway: RunningGateway) -> int:
    """Events that no worker has taken: there is none."""
    depth = gateway.run(gateway.broker.depth())
    return int(depth.queued + depth.delayed + depth.parked)
