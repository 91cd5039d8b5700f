"""Cross-origin rules of function URLs."""

from __future__ import annotations

from broker.registry.model import Cors
from gateway.function_urls.cors import is_preflight, preflight_headers, with_cors

ORIGIN = (b"origin", b"https://a.example")
ASKS_GET = [ORIGIN, (b"access-control-request-method", b"GET")]


def test_only_options_with_a_wish_is_a_preflight() -> None:
    assert is_preflight("OPTIONS", ASKS_GET)
    assert not is_preflight("OPTIONS", [ORIGIN])
    assert not is_preflight("GET", ASKS_GET)


def test_everybody_is_a_star_unless_credentials_are_allowed() -> None:
    star = Cors(allow_origins=("*",), allow_methods=("*",))
    assert dict(preflight_headers(star, ASKS_GET))[b"access-control-allow-origin"] == b"*"
    trusting = Cors(allow_origins=("*",), allow_methods=("*",), allow_credentials=True)
    headers = dict(preflight_headers(trusting, ASKS_GET))
    assert headers[b"access-control-allow-origin"] == b"https://a.example"
    assert headers[b"vary"] == b"Origin"


def test_a_method_or_an_origin_that_is_not_listed_gets_nothing() -> None:
    assert preflight_headers(Cors(allow_origins=("*",), allow_methods=("POST",)), ASKS_GET) == []
    other = Cors(allow_origins=("https://b.example",), allow_methods=("*",))
    assert preflight_headers(other, ASKS_GET) == []


def test_the_function_s_own_headers_give_way() -> None:
    cors = Cors(allow_origins=("https://a.example",), expose_headers=("x-a", "x-b"))
    own = [(b"access-control-allow-origin", b"*"), (b"x-a", b"1")]
    assert with_cors(cors, [ORIGIN], own) == [
        (b"x-a", b"1"),
        (b"access-control-allow-origin", b"https://a.example"),
        (b"vary", b"Origin"),
        (b"access-control-expose-headers", b"x-a,x-b"),
    ]
    assert with_cors(cors, [], own) == [(b"x-a", b"1")]
