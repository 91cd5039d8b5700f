"""What it costs the gateway to verify one signed request: `python -m tests.benchmarks.signature`."""

from __future__ import annotations

import time

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Signing

from gateway.auth import Credentials, Headers, SignatureVerifier

BODY = b"x" * 1024
PATH = "/2015-03-31/functions/hello/invocations"
HEADERS = {
    "User-Agent": "Boto3/1.44 md/Botocore#1.44 ua/2.1 os/linux lang/python#3.11",
    "Accept-Encoding": "identity",
    "X-Amz-Invocation-Type": "RequestResponse",
    "amz-sdk-invocation-id": "00000000-0000-0000-0000-000000000000",
    "amz-sdk-request": "attempt=1",
    "Content-Length": str(len(BODY)),
}
ROUNDS, REQUESTS = 5, 20_000


def main() -> None:
    """Print the best of some rounds, in microseconds per request of 1 KB."""
    key = Credentials("AKID", "secret")
    verifier, headers = SignatureVerifier([key], "us-east-1"), _signed(key)
    best = min(_round_seconds(verifier, headers) for _ in range(ROUNDS))
    print(f"verify a 1 KB invoke of a known client: {best / REQUESTS * 1e6:.1f} us")


def _signed(key: Credentials) -> Headers:
    request = AWSRequest("POST", f"http://127.0.0.1:9000{PATH}", data=BODY, headers=HEADERS)
    signing = Signing(key.access_key_id, key.secret_access_key)
    SigV4Auth(signing, "lambda", "us-east-1").add_auth(request)
    sent = [(name.lower().encode(), str(value).encode()) for name, value in request.headers.items()]
    return [*sent, (b"host", b"127.0.0.1:9000")]


def _round_seconds(verifier: SignatureVerifier, headers: Headers) -> float:
    path, began = PATH.encode(), time.perf_counter()
    for _ in range(REQUESTS):
        verifier.verify("POST", path, b"", headers, BODY)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
