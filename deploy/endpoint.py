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
        return self.send("GET", f"{path}?{urlencode(query)}" if query else path)

    def send(self, method: str, path: str, document: Any = None) -> Any:
        """The answer's JSON document (None: it is empty) to a signed request below `/lightswitch/v1`.

        Raises NotRunning where nobody answers, DeployError for an error answer.
        """
        url = f"{self.url}/lightswitch/v1{path}"
        content = b"" if document is None else json.dumps(document).encode()
        status, body = self._send(method, url, self._signed_headers(method, url, content), content)
        if not http.client.OK <= status < http.client.MULTIPLE_CHOICES:
            raise DeployError(_reason(status, body))
        return json.loads(body) if body else None

    def workers(self) -> Sequence[WorkerInfo]:
        """The workers that have registered, as the broker knows them."""
        return msgspec.convert(self.get("/workers")["workers"], tuple[WorkerInfo, ...])

    def is_ready(self) -> bool:
        """Does the gateway say that it can serve?"""
        try:
            return self._send("GET", f"{self.url}/readyz", {})[0] == http.client.OK
        except NotRunning:
            return False

    def _signed_headers(self, method: str, url: str, content: bytes) -> dict[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import ReadOnlyCredentials

        request = AWSRequest(method, url, data=content)
        keys = ReadOnlyCredentials(self.credentials.access_key_id, self.credentials.secret_access_key, None)
        SigV4Auth(keys, "lambda", self.region).add_auth(request)
        return dict(request.headers.items())

    def _send(
        self, method: str, url: str, headers: dict[str, str], content: bytes = b""
    ) -> tuple[int, bytes]:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=self.timeout_seconds)
        try:
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            connection.request(method, target, content or None, headers)
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
