"""Signatures are checked against botocore's own signer."""

from __future__ import annotations

import calendar
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from gateway.auth import AuthError, Credentials, Identity, SignatureVerifier

KEY = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
OTHER = Credentials("AKIDOTHER", "other-secret")
HOST = "http://127.0.0.1:9000"
ARN = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Ahello"


@dataclass(frozen=True)
class Request:
    method: str
    raw_path: bytes
    query_string: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def with_header(self, name: bytes, change: Callable[[bytes], bytes]) -> Request:
        return replace(self, headers=tuple((n, change(v) if n == name else v) for n, v in self.headers))

    def without(self, name: bytes) -> Request:
        return replace(self, headers=tuple(h for h in self.headers if h[0] != name))


def sign(
    target: str = "/2015-03-31/functions/hello/invocations",
    *,
    method: str = "POST",
    body: bytes = b'{"a": 1}',
    key: Credentials = KEY,
    region: str = "us-east-1",
    service: str = "lambda",
    headers: dict[str, str] | None = None,
    token: str | None = None,
) -> Request:
    request = botocore.awsrequest.AWSRequest(method, HOST + target, data=body, headers=headers or {})
    credentials = botocore.credentials.Credentials(key.access_key_id, key.secret_access_key, token)
    botocore.auth.SigV4Auth(credentials, service, region).add_auth(request)
    parts = urlsplit(request.url)
    raw = [(name.lower().encode(), str(value).encode()) for name, value in request.headers.items()]
    raw.append((b"host", parts.netloc.encode()))
    return Request(method, parts.path.encode(), parts.query.encode(), tuple(raw), body)


def verify(request: Request, verifier: SignatureVerifier) -> Identity:
    return verifier.verify(
        request.method, request.raw_path, request.query_string, request.headers, request.body
    )


@pytest.fixture
def verifier() -> SignatureVerifier:
    return SignatureVerifier([KEY, OTHER], "us-east-1")


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/2015-03-31/functions/",
        "/2015-03-31/functions/hello/invocations",
        "/2015-03-31/functions/hello_-.~/invocations",
        ARN,
        f"{ARN}%3Aprod/invocations",
        f"{ARN}/aliases/a%20b",
        "/2015-03-31/functions/hello:prod/invocations",
        "/2015-03-31/functions/%24LATEST",
        "/2015-03-31/functions/a%2Fb%252Fc",
        "/2015-03-31//functions/./x/../hello/",
        "/2015-03-31/functions/b%C3%BCcher",
        "/2015-03-31/functions/hello?Qualifier=%24LATEST",
        "/2015-03-31/functions?Marker=a%2Fb%3D%3D&MaxItems=10&FunctionVersion=ALL",
        "/2017-03-31/tags/x?tagKeys=b&tagKeys=a&tagKeys=a%20c&tagKeys=",
        "/2018-10-31/layers?find=LayerVersion&Arn=arn%3Aaws",
        "/x?empty=&flag=&Flag=2&a-b=1&a.b=2&a=3",
        "/x?tilde=~&star=%2A&plus=%2B&amp=%26",
    ],
)
def test_what_botocore_signs_is_accepted(verifier: SignatureVerifier, target: str) -> None:
    assert verify(sign(target), verifier) == Identity("AKIDEXAMPLE")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "POST"])
@pytest.mark.parametrize("body", [b"", b"{}", bytes(range(256)) * 300])
def test_every_method_and_body_is_accepted(verifier: SignatureVerifier, method: str, body: bytes) -> None:
    assert verify(sign(method=method, body=body), verifier)


def test_header_values_are_compared_with_their_spaces_collapsed(verifier: SignatureVerifier) -> None:
    signed = sign(headers={"X-Amz-Client-Context": "  e30=   e31=  ", "X-Amz-Log-Type": "Tail"})
    assert verify(signed, verifier)


def test_several_keys_may_sign_and_the_signer_is_told(verifier: SignatureVerifier) -> None:
    assert verify(sign(key=OTHER), verifier) == Identity("AKIDOTHER")
    assert verify(sign(key=KEY), verifier) == Identity("AKIDEXAMPLE")


def test_a_session_token_is_allowed_and_may_be_left_unsigned(verifier: SignatureVerifier) -> None:
    assert verify(sign(token="session"), verifier)
    unsigned = sign()
    assert verify(replace(unsigned, headers=(*unsigned.headers, (b"x-amz-security-token", b"t"))), verifier)


def test_a_known_client_is_accepted_again_and_still_checked(verifier: SignatureVerifier) -> None:
    good = sign()
    assert verify(good, verifier)
    assert verify(good, verifier)
    with pytest.raises(AuthError, match="does not match the signature you provided"):
        verify(replace(good, body=b"{}"), verifier)


TAMPERED: dict[str, Callable[[Request], Request]] = {
    "body": lambda r: replace(r, body=r.body + b" "),
    "path": lambda r: replace(r, raw_path=r.raw_path + b"x"),
    "method": lambda r: replace(r, method="PUT"),
    "query": lambda r: replace(r, query_string=b"Qualifier=2"),
    "host": lambda r: r.with_header(b"host", lambda _: b"elsewhere"),
    "signature": lambda r: r.with_header(b"authorization", lambda v: bytes([*v[:-1], v[-1] ^ 1])),
    "short signature": lambda r: r.with_header(b"authorization", lambda v: v[:-1]),
    "signed header": lambda r: r.with_header(b"x-amz-log-type", lambda _: b"None"),
    "missing signed header": lambda r: r.without(b"x-amz-log-type"),
}  # fmt: skip


@pytest.mark.parametrize("change", TAMPERED.values(), ids=list(TAMPERED))
@pytest.mark.parametrize("known", [False, True], ids=["new client", "known client"])
def test_a_changed_request_is_refused(
    verifier: SignatureVerifier, change: Callable[[Request], Request], known: bool
) -> None:
    signed = sign(headers={"X-Amz-Log-Type": "Tail"})
    if known:
        verify(signed, verifier)
    with pytest.raises(AuthError) as refused:
        verify(change(signed), verifier)
    assert (refused.value.error_type, refused.value.status) == ("InvalidSignatureException", 403)
    assert refused.value.message.startswith("The request signature we calculated does not match")


def test_a_wrong_secret_is_refused(verifier: SignatureVerifier) -> None:
    with pytest.raises(AuthError, match="calculated does not match"):
        verify(sign(key=Credentials("AKIDEXAMPLE", "guess")), verifier)


def test_an_unknown_key_is_refused(verifier: SignatureVerifier) -> None:
    with pytest.raises(AuthError) as refused:
        verify(sign(key=Credentials("AKIDNOBODY", "x")), verifier)
    assert refused.value.error_type == "UnrecognizedClientException"
    assert refused.value.message == "The security token included in the request is invalid."


@pytest.mark.parametrize(
    "authorization", [None, b"Bearer x", b"AWS4-HMAC-SHA1 Credential=x, Signature=y", b""]
)
def test_a_request_without_a_signature_is_refused(
    verifier: SignatureVerifier, authorization: bytes | None
) -> None:
    bare = sign().without(b"authorization")
    if authorization is not None:
        bare = replace(bare, headers=(*bare.headers, (b"authorization", authorization)))
    with pytest.raises(AuthError) as refused:
        verify(bare, verifier)
    assert refused.value.error_type == "MissingAuthenticationTokenException"
    assert refused.value.message == "Missing Authentication Token"


@pytest.mark.parametrize(
    ("authorization", "words"),
    [
        (b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE", "requires 'Signature' parameter"),
        (b"AWS4-HMAC-SHA256 Credential=a/b, Signature=x", "requires 'SignedHeaders' parameter"),
        (b"AWS4-HMAC-SHA256 SignedHeaders=host, Signature=x", "requires 'Credential' parameter"),
        (b"AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=x", "5 slash-delimited elements"),
    ],
)
def test_an_incomplete_authorization_says_what_is_missing(
    verifier: SignatureVerifier, authorization: bytes, words: str
) -> None:
    with pytest.raises(AuthError, match=words) as refused:
        verify(sign().with_header(b"authorization", lambda _: authorization), verifier)
    assert refused.value.error_type == "IncompleteSignatureException"


@pytest.mark.parametrize(
    ("late_seconds", "words"),
    [
        (16 * 60, "Signature expired: .* is now earlier than .* - 15 min"),
        (-16 * 60, "Signature not yet current"),
    ],
)
def test_a_date_too_far_from_now_is_refused(late_seconds: float, words: str) -> None:
    verifier = SignatureVerifier([KEY], "us-east-1", clock=lambda: time.time() + late_seconds)
    with pytest.raises(AuthError, match=words) as refused:
        verify(sign(), verifier)
    assert refused.value.error_type == "InvalidSignatureException"


@pytest.mark.parametrize("late_seconds", [14 * 60, -14 * 60])
def test_a_clock_a_little_off_is_fine(late_seconds: float) -> None:
    assert verify(sign(), SignatureVerifier([KEY], "us-east-1", clock=lambda: time.time() + late_seconds))


def test_a_known_client_grows_old_too() -> None:
    now = [time.time()]
    verifier = SignatureVerifier([KEY], "us-east-1", clock=lambda: now[0])
    signed = sign()
    verify(signed, verifier)
    now[0] += 16 * 60
    with pytest.raises(AuthError, match="Signature expired"):
        verify(signed, verifier)


@pytest.mark.parametrize("date", [b"yesterday", b"20260101T000000", b"20269901T000000Z"])
def test_a_date_that_is_none_is_refused(date: bytes) -> None:
    verifier = SignatureVerifier([KEY], "us-east-1")
    signed = sign()
    scoped = signed.with_header(
        b"authorization", lambda v: v.replace(_scope_date(v), date[:8].ljust(8, b"0"))
    ).with_header(b"x-amz-date", lambda _: date)
    with pytest.raises(AuthError, match=r"ISO-8601 'basic format'|Date in Credential scope"):
        verify(scoped, verifier)


def _scope_date(authorization: bytes) -> bytes:
    return authorization.split(b"/")[1]


def test_a_missing_date_is_refused(verifier: SignatureVerifier) -> None:
    with pytest.raises(AuthError, match="X-Amz-Date"):
        verify(sign().without(b"x-amz-date"), verifier)


def test_the_day_of_the_scope_must_be_the_day_of_the_date(verifier: SignatureVerifier) -> None:
    signed = sign()
    moved = signed.with_header(b"authorization", lambda v: v.replace(_scope_date(v), b"20200101"))
    with pytest.raises(AuthError, match="Date in Credential scope does not match"):
        verify(moved, verifier)


@pytest.mark.parametrize(
    ("region", "service", "words"),
    [("eu-west-1", "lambda", "valid region"), ("us-east-1", "s3", "correct service: 'lambda'")],
)
def test_another_scope_is_refused(verifier: SignatureVerifier, region: str, service: str, words: str) -> None:
    with pytest.raises(AuthError, match=words) as refused:
        verify(sign(region=region, service=service), verifier)
    assert refused.value.error_type == "InvalidSignatureException"


def test_headers_of_aws_must_be_signed(verifier: SignatureVerifier) -> None:
    signed = sign()
    added = replace(signed, headers=(*signed.headers, (b"x-amz-invocation-type", b"Event")))
    with pytest.raises(AuthError, match="'x-amz-invocation-type' must be a 'SignedHeader'"):
        verify(added, verifier)


def test_the_host_must_be_signed(verifier: SignatureVerifier) -> None:
    def drop_host(authorization: bytes) -> bytes:
        return authorization.replace(b"SignedHeaders=host;", b"SignedHeaders=")

    with pytest.raises(AuthError, match="'Host'"):
        verify(sign().with_header(b"authorization", drop_host), verifier)


def test_an_unsigned_payload_is_refused(verifier: SignatureVerifier) -> None:
    signed = sign(headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    with pytest.raises(AuthError, match="not the SHA-256 of the body"):
        verify(signed, verifier)


def test_secrets_do_not_show() -> None:
    assert KEY.secret_access_key not in repr(KEY)
    assert KEY.access_key_id in repr(KEY)


def test_the_known_example_of_a_date_is_read_as_utc() -> None:
    at = calendar.timegm((2026, 1, 1, 0, 10, 0))
    verifier = SignatureVerifier([KEY], "us-east-1", clock=lambda: at)
    with pytest.raises(AuthError, match="calculated does not match"):
        verify(
            sign()
            .with_header(b"x-amz-date", lambda _: b"20260101T000000Z")
            .with_header(b"authorization", lambda v: v.replace(_scope_date(v), b"20260101")),
            verifier,
        )
