"""What browsers are told, and how many requests a route lets through."""

from __future__ import annotations

from typing import Any

import pytest

from triggers.events.http_results import HttpResponse
from triggers.http_api.cors import CorsSettings, is_preflight, preflight, with_cors
from triggers.http_api.throttle import TokenBucket

ORIGIN = (b"origin", b"https://shop.example.com")
ASKED = [ORIGIN, (b"access-control-request-method", b"PUT"), (b"access-control-request-headers", b"x-a,x-b")]


def test_only_options_with_an_origin_and_a_method_is_a_preflight() -> None:
    assert is_preflight("OPTIONS", ASKED)
    assert not is_preflight("GET", ASKED)
    assert not is_preflight("OPTIONS", [ORIGIN])


def test_an_allowed_origin_is_told_what_it_may_do() -> None:
    settings = CorsSettings(
        allow_origins=("https://shop.example.com",),
        allow_methods=("GET", "PUT"),
        allow_headers=("*",),
        max_age_seconds=300,
        allow_credentials=True,
    )
    assert preflight(settings, ASKED) == HttpResponse(
        204,
        [
            (b"access-control-allow-origin", b"https://shop.example.com"),
            (b"vary", b"Origin"),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-allow-methods", b"GET,PUT"),
            (b"access-control-allow-headers", b"x-a,x-b"),
            (b"access-control-max-age", b"300"),
        ],
        b"",
    )


def test_another_origin_is_told_nothing() -> None:
    settings = CorsSettings(allow_origins=("https://other.example.com",))
    assert preflight(settings, ASKED) == HttpResponse(204, [], b"")
    assert with_cors(settings, [ORIGIN], HttpResponse(200, [], b"x")).headers == []


def test_the_functions_own_cors_headers_give_way() -> None:
    settings = CorsSettings(allow_origins=("https://*",), expose_headers=("date", "x-api-id"))
    own = [(b"access-control-allow-origin", b"*"), (b"x-a", b"1")]
    assert with_cors(settings, [ORIGIN], HttpResponse(200, own, b"x")).headers == [
        (b"x-a", b"1"),
        (b"access-control-allow-origin", b"https://shop.example.com"),
        (b"vary", b"Origin"),
        (b"access-control-expose-headers", b"date,x-api-id"),
    ]
    assert with_cors(settings, [(b"origin", b"http://x")], HttpResponse(200, own, b"x")).headers == own[1:]


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"allow_origins": ()}, "empty"),
        ({"allow_origins": ("example.com",)}, "no origin"),
        ({"allow_origins": ("https://example.com/path",)}, "no origin"),
        ({"allow_origins": ("*",), "allow_credentials": True}, "credentials"),
        ({"allow_origins": ("*",), "max_age_seconds": 90_000}, "max_age_seconds"),
    ],
)
def test_wrong_cors_settings_are_refused_with_the_reason(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        CorsSettings(**settings)


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    now = 0.0
    bucket = TokenBucket(rate_per_second=2, burst=3, clock=lambda: now)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now = 0.5
    assert [bucket.take(), bucket.take()] == [True, False]
    now = 100
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
