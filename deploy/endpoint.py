"""A running system as the command line reaches it: address, keys, signed requests, errors in one line."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from broker.interface import WorkerInfo
from deploy.credentials import Credentials
from deploy.errors import DeployError, NotRunning


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Address and keys of a gateway."""

    url: str
    region: str
    credentials: Credentials
    timeout_seconds: float = 30.0

    def get(self, path: str, **query: str | float) -> Any:
        """The JSON document at a path below `/lightswitch/v1`, asked for with a signed request.

        Raises NotRunning where nobody answers, DeployError for an error answer.
        """
        url = f"{self.url}/lightswitch/v1{path}" + (f"?{urlencode(query)}" if query else "")
        status, body = self._send(url, self._signed_headers(url))
        if status != http.client.OK:
            raise DeployError(_reason(status, body))
        return json.loads(body)

    def workers(self) -> Sequence[WorkerInfo]:
        """The workers that have registered, as the broker knows them."""
        return msgspec.convert(self.get("/workers")["workers"], tuple[WorkerInfo, ...])

    def is_ready(self) -> bool:
        """Does the gateway say that it can serve?"""
        try:
            return self._send(f"{self.url}/readyz", {})[0] == http.client.OK
        except NotRunning:
            return False

    def _signed_headers(self, url: str) -> dict[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import ReadOnlyCredentials

        request = AWSRequest("GET", url)
        keys = ReadOnlyCredentials(self.credentials.access_key_id, self.credentials.secret_access_key, None)
        SigV4Auth(keys, "lambda", self.region).add_auth(request)
        return dict(request.headers.items())

    def _send(self, url: str, headers: dict[str, str]) -> tuple[int, bytes]:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=self.timeout_seconds)
        try:
            connection.request(
                "GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, None, headers
            )
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise NotRunning(f"no answer from {self.url} ({error}); is `lightswitch up` running?") from error
        finally:
            connection.close()


def _reason(status: int, body: bytes) -> str:
    try:
        document = json.loads(body)
        return str(document.get("Message") or document["message"])
    except (ValueError, KeyError, AttributeError):
        return f"the gateway answered {status}: {body[:200].decode(errors='replace')}"
