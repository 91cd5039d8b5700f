"""Settings of routes, and how wrong ones are refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from triggers.http_api.settings import RouteSettings
from triggers.kinds import read_settings

JWT = {"issuer": "https://login.example.com/", "audiences": ["shop"]}


def read(**settings: Any) -> RouteSettings:
    found = read_settings("route", msgspec.json.encode({"route": "GET /a", **settings}))
    assert isinstance(found, RouteSettings)
    return found


def test_a_route_needs_nothing_but_its_key() -> None:
    assert (read().payload_format, read().timeout_ms, read().rate_per_second) == ("2.0", 30_000, None)


def test_the_burst_is_a_seconds_worth_where_it_is_not_said() -> None:
    assert read(rate_per_second=2.5).burst_or_default == 3
    assert read(rate_per_second=0.1).burst_or_default == 1
    assert read(rate_per_second=5, burst=50).burst_or_default == 50


def test_routes_that_take_the_same_requests_exclude_each_other() -> None:
    keys = {
        read(route=route).exclusive_key for route in ("GET /a/{x}", "GET /a/{y}", "ANY /a/{x}", "GET /a/x")
    }
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"route": "/a"}, "METHOD /path"),
        ({"payload_format": "3.0"}, "payload_format"),
        ({"colour": "red"}, "colour"),
        ({"timeout_ms": 30_001}, "timeout_ms"),
        ({"timeout_ms": 10}, "timeout_ms"),
        ({"burst": 3}, "rate_per_second"),
        ({"rate_per_second": 0}, "rate_per_second"),
        ({"rate_per_second": 1, "burst": 0}, "burst"),
        ({"jwt": JWT, "authorizer": {"function": "f"}}, "not both"),
        ({"jwt": JWT | {"issuer": "login.example.com"}}, "jwt.issuer"),
        ({"jwt": JWT | {"audiences": []}}, "jwt.audiences"),
        ({"jwt": JWT | {"algorithms": ["HS256"]}}, "jwt.algorithms"),
        ({"jwt": JWT | {"algorithms": ["none"]}}, "jwt.algorithms"),
        ({"jwt": JWT | {"algorithms": []}}, "jwt.algorithms"),
        ({"jwt": JWT | {"identity_source": "Authorization"}}, "identity source"),
        ({"authorizer": {"function": ""}}, "authorizer.function"),
        ({"authorizer": {"function": "f", "payload_format": "1.0"}}, "simple_responses"),
        ({"authorizer": {"function": "f", "ttl_seconds": 3601}}, "ttl_seconds"),
        ({"authorizer": {"function": "f", "ttl_seconds": 1, "identity_sources": []}}, "identity source"),
        ({"cors": {"allow_origins": []}}, "allow_origins"),
    ],
)
def test_wrong_settings_are_refused_with_the_reason(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        read(**settings)
