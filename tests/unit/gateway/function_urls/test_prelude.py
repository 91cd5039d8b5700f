"""How a streamed response begins."""

from __future__ import annotations

import pytest

from gateway.function_urls.prelude import INTEGRATION_TYPE, Prelude
from triggers.events.http_results import HttpResponse, MalformedResult

NULS = b"\0" * 8
HEAD = b'{"statusCode":201,"headers":{"Content-Type":"text/html"},"cookies":["a=1"]}'


def test_status_headers_and_cookies_come_from_the_prelude() -> None:
    response = Prelude(INTEGRATION_TYPE).take(HEAD + NULS + b"body")
    assert response == HttpResponse(201, [(b"content-type", b"text/html"), (b"set-cookie", b"a=1")], b"body")


def test_a_prelude_in_single_bytes_is_understood() -> None:
    prelude, message = Prelude(INTEGRATION_TYPE), HEAD + NULS
    answers = [prelude.take(message[at : at + 1]) for at in range(len(message))]
    assert answers[:-1] == [None] * (len(message) - 1)
    assert answers[-1] is not None
    assert answers[-1].status == 201


def test_an_empty_prelude_is_a_200_of_bytes() -> None:
    response = Prelude(INTEGRATION_TYPE).take(b"{}" + NULS + b"x\0\0")
    assert response == HttpResponse(200, [(b"content-type", b"application/octet-stream")], b"x\0\0")


def test_any_other_content_type_has_no_prelude() -> None:
    assert Prelude("text/csv").take(HEAD) == HttpResponse(200, [(b"content-type", b"text/csv")], HEAD)
    assert Prelude("").take(b"x") == HttpResponse(200, [(b"content-type", b"application/octet-stream")], b"x")


@pytest.mark.parametrize(
    "message", [b"[]" + NULS, b"{" + NULS, b'{"statusCode":"x"}' + NULS, b" " * (1 << 20) + b"x"]
)
def test_a_malformed_prelude_is_refused(message: bytes) -> None:
    with pytest.raises(MalformedResult):
        Prelude(INTEGRATION_TYPE).take(message)


def test_a_stream_that_ends_within_its_prelude_is_refused() -> None:
    prelude = Prelude(INTEGRATION_TYPE)
    assert prelude.take(b"{") is None
    with pytest.raises(MalformedResult):
        prelude.end()
