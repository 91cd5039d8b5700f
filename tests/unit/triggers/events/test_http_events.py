"""HTTP requests as events, compared with what API Gateway sends and read with Powertools and Mangum."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent, APIGatewayProxyEventV2
from mangum.handlers.api_gateway import APIGateway, HTTPGateway

from tests.unit.triggers.events.requests import request
from triggers.events.http_events import clf_time, event_v1, event_v2, text_or_base64
from triggers.events.http_request import forwarded

HANDLING: Any = {"api_gateway_base_path": "/", "text_mime_types": [], "exclude_headers": []}


def test_format_2_has_the_members_that_api_gateway_sends() -> None:
    assert event_v2(request()) == {
        "version": "2.0",
        "routeKey": "GET /orders/{id}",
        "rawPath": "/orders/7",
        "rawQueryString": "",
        "headers": {"host": "api.example.com", "user-agent": "curl/8", "accept": "*/*"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api",
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "http": {
                "method": "GET",
                "path": "/orders/7",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "curl/8",
            },
            "requestId": "NIKr1jmIFiAEJmw=",
            "routeKey": "GET /orders/{id}",
            "stage": "$default",
            "time": "04/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1583348638390,
        },
        "pathParameters": {"id": "7"},
        "isBase64Encoded": False,
    }


def test_format_1_has_the_members_that_api_gateway_sends() -> None:
    event = event_v1(request())
    identity = event["requestContext"].pop("identity")
    assert event == {
        "version": "1.0",
        "resource": "/orders/{id}",
        "path": "/orders/7",
        "httpMethod": "GET",
        "headers": {"host": "api.example.com", "user-agent": "curl/8", "accept": "*/*"},
        "multiValueHeaders": {"host": ["api.example.com"], "user-agent": ["curl/8"], "accept": ["*/*"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api",
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "extendedRequestId": "NIKr1jmIFiAEJmw=",
            "httpMethod": "GET",
            "path": "/orders/7",
            "protocol": "HTTP/1.1",
            "requestId": "NIKr1jmIFiAEJmw=",
            "requestTime": "04/Mar/2020:19:03:58 +0000",
            "requestTimeEpoch": 1583348638390,
            "resourceId": "GET /orders/{id}",
            "resourcePath": "/orders/{id}",
            "stage": "$default",
        },
        "pathParameters": {"id": "7"},
        "stageVariables": None,
        "body": None,
        "isBase64Encoded": False,
    }
    assert (identity.pop("sourceIp"), identity.pop("userAgent")) == ("192.0.2.1", "curl/8")
    assert set(identity.values()) == {None}


def test_what_comes_twice_is_joined_in_format_2_and_listed_in_format_1() -> None:
    twice = request(
        query_string="a=1&a=2&b=x%20y+z&c", headers=[(b"accept", b"text/a"), (b"accept", b"text/b")]
    )
    joined, listed = event_v2(twice), event_v1(twice)
    assert joined["headers"] == {"accept": "text/a,text/b"}
    assert joined["queryStringParameters"] == {"a": "1,2", "b": "x y z", "c": ""}
    assert joined["rawQueryString"] == "a=1&a=2&b=x%20y+z&c"
    assert listed["headers"] == {"accept": "text/b"}
    assert listed["multiValueHeaders"] == {"accept": ["text/a", "text/b"]}
    assert listed["queryStringParameters"] == {"a": "2", "b": "x y z", "c": ""}
    assert listed["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": ["x y z"], "c": [""]}


def test_cookies_leave_the_headers_in_format_2_only() -> None:
    eaten = request(headers=[(b"cookie", b"a=1; b=2;"), (b"cookie", b"c=3")])
    assert event_v2(eaten)["cookies"] == ["a=1", "b=2", "c=3"]
    assert event_v2(eaten)["headers"] == {}
    assert event_v1(eaten)["multiValueHeaders"] == {"cookie": ["a=1; b=2;", "c=3"]}


def test_the_default_route_is_its_own_resource() -> None:
    event = event_v1(request(route_key="$default", path_parameters={}))
    assert (event["resource"], event["pathParameters"]) == ("$default", None)


def test_an_authorizers_words_and_stage_variables_are_passed_on() -> None:
    known = request(authorizer={"lambda": {"tenant": "t1"}}, stage_variables={"color": "blue"})
    assert event_v2(known)["requestContext"]["authorizer"] == {"lambda": {"tenant": "t1"}}
    assert event_v1(known)["requestContext"]["authorizer"] == {"lambda": {"tenant": "t1"}}
    assert event_v2(known)["stageVariables"] == event_v1(known)["stageVariables"] == {"color": "blue"}


@pytest.mark.parametrize(
    ("content_type", "is_text"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/csv", True),
        ("application/xml", True),
        ("application/javascript", True),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=x", False),
        ("application/octet-stream", False),
        ("application/vnd.api+json", False),
        ("", False),
    ],
)
def test_only_what_aws_takes_for_text_is_passed_as_text(content_type: str, is_text: bool) -> None:
    body, encoded = text_or_base64("gr\u00fcn".encode(), content_type)
    assert encoded is not is_text
    assert (base64.b64decode(body).decode() if encoded else body) == "gr\u00fcn"


def test_text_that_is_no_utf_8_is_not_damaged() -> None:
    body, encoded = text_or_base64(b"\xff\xfe", "text/plain")
    assert (encoded, base64.b64decode(body)) == (True, b"\xff\xfe")


def test_a_header_that_is_no_utf_8_is_read_as_latin_1() -> None:
    assert event_v2(request(headers=[(b"x-name", b"\xe4")]))["headers"] == {"x-name": "\u00e4"}


def test_times_are_written_as_api_gateway_writes_them() -> None:
    assert clf_time(0) == "01/Jan/1970:00:00:00 +0000"


def test_headers_of_the_connection_stay_and_the_forwarded_ones_are_ours() -> None:
    sent = [
        (b"connection", b"keep-alive, X-Private"),
        (b"x-private", b"1"),
        (b"x-forwarded-for", b"203.0.113.9"),
        (b"x-forwarded-proto", b"spoofed"),
        (b"accept", b"*/*"),
    ]
    assert forwarded(sent, source_ip="192.0.2.1", port=9000, protocol="http", trace_header="Root=1") == [
        (b"accept", b"*/*"),
        (b"x-amzn-trace-id", b"Root=1"),
        (b"x-forwarded-for", b"203.0.113.9, 192.0.2.1"),
        (b"x-forwarded-port", b"9000"),
        (b"x-forwarded-proto", b"http"),
    ]


def test_powertools_reads_both_formats() -> None:
    post = request(
        method="POST",
        query_string="page=2&page=3",
        headers=[(b"content-type", b"application/json"), (b"cookie", b"a=1")],
        body=b'{"n": 1}',
    )
    v2 = APIGatewayProxyEventV2(_sent(event_v2(post)))
    assert (v2.http_method, v2.path, v2.json_body) == ("POST", "/orders/7", {"n": 1})
    assert v2.resolved_query_string_parameters == {"page": ["2", "3"]}
    assert v2.cookies == ["a=1"]
    assert v2.request_context.http.source_ip == "192.0.2.1"
    v1 = APIGatewayProxyEvent(_sent(event_v1(post)))
    assert (v1.http_method, v1.path, v1.json_body) == ("POST", "/orders/7", {"n": 1})
    assert v1.resolved_query_string_parameters == {"page": ["2", "3"]}
    assert v1.request_context.identity.source_ip == "192.0.2.1"
    assert v1.path_parameters == {"id": "7"}


def test_mangum_recognises_both_formats() -> None:
    upload = request(method="PUT", headers=[(b"host", b"api.example.com"), (b"cookie", b"a=1")], body=b"\0\1")
    v2, v1 = _sent(event_v2(upload)), _sent(event_v1(upload))
    assert HTTPGateway.infer(v2, None, HANDLING)  # type: ignore[arg-type]
    assert APIGateway.infer(v1, None, HANDLING)  # type: ignore[arg-type]
    for gateway in (HTTPGateway(v2, None, HANDLING), APIGateway(v1, None, HANDLING)):  # type: ignore[arg-type]
        assert gateway.body == b"\0\1"
        assert gateway.scope["method"] == "PUT"
        assert gateway.scope["path"] == "/orders/7"
        assert [b"cookie", b"a=1"] in gateway.scope["headers"]


def _sent(event: dict[str, Any]) -> Any:
    """As a function gets it: JSON and back."""
    return json.loads(json.dumps(event))
