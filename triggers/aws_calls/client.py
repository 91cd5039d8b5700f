"""Calls of AWS services that speak JSON (SQS, DynamoDB Streams), from the loop.

boto3 waits in a thread; a thousand long polls would be a thousand threads. Here a poll is a connection. Where
the service is, what it is signed with and how it is called come from botocore, as for any client of boto3.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import RefreshableCredentials
from botocore.httpsession import get_cert_path

from triggers.aws_calls.connection import Connection, Response
from triggers.aws_calls.errors import ConnectionClosed, NoCredentials, ServiceRefused, ServiceUnavailable

CALL_SECONDS = 10.0

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class Service:
    """Where a service is and how it is spoken to."""

    signing_name: str
    region: str
    url: str
    target_prefix: str
    json_version: str


class JsonClient:
    """One service in one region. Connections are kept; at most one call at a time goes over each."""

    def __init__(self, service: Service, credentials: Any, tls: ssl.SSLContext | None) -> None:
        self._service = service
        self._credentials = credentials
        self._tls = tls
        parts = urlsplit(service.url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._path = parts.path or "/"
        self._idle: list[Connection] = []

    async def call(
        self, operation: str, parameters: Mapping[str, Any], timeout_seconds: float = CALL_SECONDS
    ) -> dict[str, Any]:
        """The operation's result, as JSON has it (blobs stay base64).

        Raises ServiceRefused, ServiceUnavailable, NoCredentials. A cancelled call may have had its effect.
        """
        request = await self._request(operation, _encode(parameters))
        response = await self._exchange(request, timeout_seconds)
        if response.status != 200:
            raise _refusal(operation, response)
        try:
            return _decode(response.body) if response.body else {}
        except msgspec.DecodeError as error:
            raise ServiceUnavailable(f"{operation} was answered with no JSON object: {error}") from error

    def close(self) -> None:
        """Close what is idle; what is in use closes with its call. Idempotent."""
        while self._idle:
            self._idle.pop().close()

    async def _exchange(self, request: bytes, timeout_seconds: float) -> Response:
        connection = await self._connection()
        was_used = connection.used
        try:
            response = await connection.exchange(request, timeout_seconds)
        except ConnectionClosed:
            # A server closes idle connections when it likes: that is no outage yet.
            if not was_used:
                raise
            self.close()
            connection = await Connection.open(self._host, self._port, self._tls)
            response = await connection.exchange(request, timeout_seconds)
        if connection.usable:
            self._idle.append(connection)
        return response

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return await Connection.open(self._host, self._port, self._tls)

    async def _request(self, operation: str, body: bytes) -> bytes:
        service = self._service
        headers = {
            "Content-Type": f"application/x-amz-json-{service.json_version}",
            "X-Amz-Target": f"{service.target_prefix}.{operation}",
        }
        request = AWSRequest("POST", service.url, headers=headers, data=body)
        SigV4Auth(await self._keys(), service.signing_name, service.region).add_auth(request)
        lines = [f"{name}: {value}" for name, value in request.headers.items()]
        host = urlsplit(service.url).netloc.rpartition("@")[2]
        lines += [f"Host: {host}", f"Content-Length: {len(body)}"]
        head = "\r\n".join([f"POST {self._path} HTTP/1.1", *lines, "", ""])
        return head.encode("latin-1") + body

    async def _keys(self) -> Any:
        if self._credentials is None:
            raise NoCredentials(
                "no AWS credentials were found for the triggers process; set AWS_ACCESS_KEY_ID and"
                " AWS_SECRET_ACCESS_KEY, or any other place where boto3 looks"
            )
        if isinstance(self._credentials, RefreshableCredentials):
            return await asyncio.to_thread(self._credentials.get_frozen_credentials)
        return self._credentials


class Clients:
    """The clients of one process, made when they are first needed."""

    def __init__(self, endpoint_urls: Mapping[str, str]) -> None:
        self._endpoint_urls = endpoint_urls
        self._clients: dict[tuple[str, str], JsonClient] = {}
        self._making = asyncio.Lock()

    async def client(self, service: str, region: str) -> JsonClient:
        """The client of a service, by boto3's name for it (`sqs`, `dynamodbstreams`), in a region."""
        async with self._making:
            if (service, region) not in self._clients:
                made = await asyncio.to_thread(_make, service, region, self._endpoint_urls)
                self._clients[service, region] = made
        return self._clients[service, region]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


def _make(service: str, region: str, endpoint_urls: Mapping[str, str]) -> JsonClient:
    session = botocore.session.get_session()
    # Any keys do for asking where the service is.
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    meta = session.create_client(service, region_name=region, **keys).meta
    variable = f"AWS_ENDPOINT_URL_{meta.service_model.service_id.hyphenize().replace('-', '_').upper()}"
    url = endpoint_urls.get(variable) or endpoint_urls.get("AWS_ENDPOINT_URL") or meta.endpoint_url
    metadata = meta.service_model.metadata
    spoken = Service(
        meta.service_model.signing_name, region, url, metadata["targetPrefix"], metadata["jsonVersion"]
    )
    return JsonClient(spoken, session.get_credentials(), _tls(session) if url.startswith("https:") else None)


def _tls(session: Any) -> ssl.SSLContext:
    bundle = session.get_config_variable("ca_bundle") or get_cert_path(True)
    return ssl.create_default_context(cafile=bundle)


def _refusal(operation: str, response: Response) -> ServiceRefused | ServiceUnavailable:
    """What an answer that is no success means; services name the error after the last `#` of `__type`."""
    try:
        document = _decode(response.body)
    except msgspec.DecodeError:
        document = {}
    code = str(document.get("__type", "")).rpartition("#")[2].partition(":")[0]
    message = str(document.get("message") or document.get("Message") or "")
    if not code or response.status >= 500:
        reason = message or response.body[:200].decode("utf-8", "replace")
        return ServiceUnavailable(f"{operation}: status {response.status}: {reason}")
    return ServiceRefused(operation, code, message, response.status)
