"""Which route takes a request, with AWS's precedence."""

from __future__ import annotations

import pytest

from triggers.http_api.request_path import MalformedPath, split_path
from triggers.http_api.route_key import parse_route_key
from triggers.http_api.route_table import RouteTable

ROUTES = (
    "GET /pets/dog/1",
    "GET /pets/dog/{id}",
    "GET /pets/{proxy+}",
    "ANY /{proxy+}",
    "$default",
)


def matched(method: str, path: str, *keys: str) -> tuple[str, dict[str, str]] | None:
    return RouteTable([(parse_route_key(key), key) for key in keys]).match(method, split_path(path.encode()))


@pytest.mark.parametrize(
    ("method", "path", "key", "variables"),
    [
        ("GET", "/pets/dog/1", "GET /pets/dog/1", {}),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}", {"id": "2"}),
        ("GET", "/pets/cat/1", "GET /pets/{proxy+}", {"proxy": "cat/1"}),
        ("POST", "/test/5", "ANY /{proxy+}", {"proxy": "test/5"}),
        ("POST", "/pets/dog/1", "ANY /{proxy+}", {"proxy": "pets/dog/1"}),
        ("GET", "/", "ANY /{proxy+}", {"proxy": ""}),
    ],
)
def test_the_most_specific_route_wins(method: str, path: str, key: str, variables: dict[str, str]) -> None:
    assert matched(method, path, *ROUTES) == (key, variables)
    assert matched(method, path, *reversed(ROUTES)) == (key, variables)


def test_the_default_route_takes_the_rest_and_nothing_else_does() -> None:
    assert matched("GET", "/a", "GET /b", "$default") == ("$default", {})
    assert matched("GET", "/a", "GET /b") is None
    assert matched("GET", "/a") is None


def test_a_method_goes_before_any() -> None:
    keys = ("ANY /a", "GET /a")
    assert matched("GET", "/a", *keys) == ("GET /a", {})
    assert matched("HEAD", "/a", *keys) == ("ANY /a", {})


def test_a_dead_end_leads_back_to_a_less_specific_route() -> None:
    keys = ("GET /a/b/c", "GET /{x}/b/d", "GET /a/{rest+}")
    assert matched("GET", "/a/b/d", *keys) == ("GET /a/{rest+}", {"rest": "b/d"})
    assert matched("GET", "/z/b/d", *keys) == ("GET /{x}/b/d", {"x": "z"})


def test_a_greedy_variable_needs_the_slash_before_it() -> None:
    assert matched("GET", "/handler/", "GET /handler/{proxy+}") == ("GET /handler/{proxy+}", {"proxy": ""})
    assert matched("GET", "/handler", "GET /handler/{proxy+}") is None


def test_a_variable_takes_one_segment_that_is_not_empty() -> None:
    assert matched("GET", "/a/", "GET /a/{id}") is None
    assert matched("GET", "/a/b/c", "GET /a/{id}") is None
    assert matched("GET", "/a", "GET /a/") is None


def test_an_encoded_slash_does_not_leave_its_segment() -> None:
    assert matched("GET", "/orders/a%2Fb%20c", "GET /orders/{id}") == ("GET /orders/{id}", {"id": "a/b c"})
    assert matched("GET", "/public%2F..%2Fadmin", "GET /admin") is None


def test_routes_of_one_shape_have_their_own_variables_and_the_first_counts() -> None:
    keys = ("GET /a/{x}", "POST /a/{y}", "GET /a/{z}")
    assert matched("GET", "/a/1", *keys) == ("GET /a/{x}", {"x": "1"})
    assert matched("POST", "/a/1", *keys) == ("POST /a/{y}", {"y": "1"})
    assert parse_route_key(keys[0]).shape == parse_route_key(keys[2]).shape
    assert parse_route_key("$default").shape != parse_route_key("ANY /{proxy+}").shape


@pytest.mark.parametrize("path", ["/%", "/%zz", "/a%2", "/%ff", "/%00", "/%0d%0a", "*", ""])
def test_a_malformed_path_is_refused(path: str) -> None:
    with pytest.raises(MalformedPath):
        split_path(path.encode())


def test_bytes_that_are_no_utf_8_are_refused() -> None:
    with pytest.raises(MalformedPath):
        split_path(b"/\xff")


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("", "METHOD /path"),
        ("GET", "METHOD /path"),
        ("get /a", "METHOD /path"),
        ("TRACE /a", "METHOD /path"),
        ("GET a", "METHOD /path"),
        ("GET /{proxy+}/a", "greedy"),
        ("GET /{id}/{id}", "one name"),
        ("GET /a{id}", "neither plain text"),
        ("GET /a?b", "neither plain text"),
        ("GET /a%20b", "neither plain text"),
        ("GET /lightswitch/x", "gateway's own"),
        ("ANY /healthz", "gateway's own"),
        ("GET /readyz", "gateway's own"),
        ("GET /2015-03-31/functions", "gateway's own"),
    ],
)
def test_a_wrong_route_key_is_refused_with_the_reason(key: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        parse_route_key(key)
