"""Code by bucket and key, read from an endpoint that speaks as much of S3 as that takes."""

from __future__ import annotations

import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from gateway.errors import ApiError
from gateway.s3_objects import S3Objects
from tests.integration.gateway.conftest import Refused, zipped
from tests.s3_server import S3Server
from tests.web_server import running

LIMIT = 1000
OBJECTS = {("/bucket/code.zip", ""): b"latest", ("/bucket/code.zip", "v1"): b"first"}


class SmallS3(BaseHTTPRequestHandler):
    """GET of the objects above; errors in S3's XML."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        version = parse_qs(address.query).get("versionId", [""])[0]
        content = OBJECTS.get((address.path, version))
        if address.path == "/bucket/large.zip":
            content = b"x" * (LIMIT + 1)
        if content is None:
            content = self._error(address.path)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _error(self, path: str) -> bytes:
        bucket = path.split("/")[1]
        status, code, message = {
            "bucket": (404, "NoSuchKey", "The specified key does not exist."),
            "secret": (403, "AccessDenied", "Access Denied"),
        }.get(bucket, (404, "NoSuchBucket", "The specified bucket does not exist"))
        self.send_response(status)
        return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()

    def log_message(self, *arguments: Any) -> None:
        """Nothing: the test reads no log."""


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Objects]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    server = ThreadingHTTPServer(("127.0.0.1", 0), SmallS3)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield S3Objects("us-east-1", {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.server_address[1]}"})
    server.shutdown()
    thread.join()
    server.server_close()


async def test_an_object_is_read_in_the_version_asked_for(objects: S3Objects) -> None:
    assert await objects.read("bucket", "code.zip", None, LIMIT) == b"latest"
    assert await objects.read("bucket", "code.zip", "v1", LIMIT) == b"first"


@pytest.mark.parametrize(
    ("bucket", "key", "error", "message"),
    [
        (
            "bucket",
            "nothing",
            "InvalidParameterValueException",
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key"
            " does not exist.",
        ),
        (
            "nowhere",
            "code.zip",
            "InvalidParameterValueException",
            "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified"
            " bucket does not exist",
        ),
        ("secret", "code.zip", "AccessDeniedException", "Your access has been denied by S3"),
        ("bucket", "large.zip", "InvalidParameterValueException", "must be smaller than 1000 bytes"),
    ],
)
async def test_errors_of_s3_are_those_of_lambda(
    objects: S3Objects, bucket: str, key: str, error: str, message: str
) -> None:
    with pytest.raises(ApiError) as refused:
        await objects.read(bucket, key, None, LIMIT)
    assert refused.value.error_type == error
    assert message in refused.value.message


async def test_an_endpoint_that_is_away_is_named(unused_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    objects = S3Objects("us-east-1", {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{unused_port}"})
    with pytest.raises(
        ApiError, match=rf"Could not connect to the endpoint URL: \"http://127.0.0.1:{unused_port}"
    ):
        await objects.read("bucket", "code.zip", None, LIMIT)


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 with buckets and versions."""
    with running(S3Server(tmp_path_factory.mktemp("s3"))) as server:
        yield server


@pytest.fixture(scope="module")
def endpoint_urls(s3_server: S3Server) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL_S3": s3_server.url}


def test_a_function_is_made_and_updated_from_a_bucket(
    create: Callable[..., dict[str, Any]],
    client: Any,
    name: str,
    refused: Refused,
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    s3 = boto3.client("s3", endpoint_url=s3_server.url, region_name="us-east-1")
    s3.create_bucket(Bucket="packages")
    s3.put_bucket_versioning(Bucket="packages", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="packages", Key="code.zip", Body=zipped("x = 1"))["VersionId"]
    s3.put_object(Bucket="packages", Key="code.zip", Body=zipped("x = 2"))
    source = {"S3Bucket": "packages", "S3Key": "code.zip"}
    created = create(Code={**source, "S3ObjectVersion": first})
    assert created["CodeSha256"] == b64encode(sha256(zipped("x = 1")).digest()).decode()
    updated = client.update_function_code(FunctionName=name, **source)
    assert updated["CodeSha256"] == b64encode(sha256(zipped("x = 2")).digest()).decode()
    missing = refused("update_function_code", FunctionName=name, S3Bucket="packages", S3Key="nothing")
    assert (missing["type"], missing["status"]) == ("InvalidParameterValueException", 400)
    assert missing["message"].startswith("Error occurred while GetObject. S3 Error Code: NoSuchKey.")
