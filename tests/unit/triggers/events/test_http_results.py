"""Functions' results as HTTP responses, in both payload formats."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from triggers.events.http_results import HttpResponse, MalformedResult, response_v1, response_v2

JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; charset=utf-8")


def v2(result: Any) -> HttpResponse:
    return response_v2(json.dumps(result).encode())


def v1(result: Any) -> HttpResponse:
    return response_v1(json.dumps(result).encode())


@pytest.mark.parametrize(
    ("result", "body"),
    [
        (b'"Hello from Lambda!"', b"Hello from Lambda!"),
        (b'{ "message": "Hello" }', b'{ "message": "Hello" }'),
        (b"[1, 2]", b"[1, 2]"),
        (b"7", b"7"),
        (b"null", b"null"),
        (b'{"body": "x"}', b'{"body": "x"}'),
        (b'{"statusCode": null}', b'{"statusCode": null}'),
    ],
)
def test_format_2_infers_a_response_where_there_is_no_status(result: bytes, body: bytes) -> None:
    assert response_v2(result) == HttpResponse(200, [JSON], body)


def test_format_2_takes_a_response_object_at_its_word() -> None:
    result = {
        "statusCode": 201,
        "headers": {"X-Count": 3, "X-Gone": None, "Content-Type": "text/html"},
        "cookies": ["a=1; Path=/", "b=2"],
        "body": "<p>gr\u00fcn",
    }
    expected = [
        (b"x-count", b"3"),
        (b"content-type", b"text/html"),
        (b"set-cookie", b"a=1; Path=/"),
        (b"set-cookie", b"b=2"),
    ]
    assert v2(result) == HttpResponse(201, expected, "<p>gr\u00fcn".encode())


def test_a_body_without_a_type_is_plain_text_but_json_for_function_urls() -> None:
    result = json.dumps({"statusCode": 200, "body": "x"}).encode()
    assert response_v2(result).headers == [TEXT]
    assert response_v2(result, b"application/json").headers == [JSON]
    assert v1({"statusCode": 200, "body": "x"}).headers == [TEXT]


def test_no_body_needs_no_type() -> None:
    assert v2({"statusCode": 204}) == v1({"statusCode": "204", "body": None}) == HttpResponse(204, [], b"")


def test_binary_bodies_are_decoded() -> None:
    body = base64.b64encode(b"\x89PNG\0").decode()
    result = {
        "statusCode": 200,
        "isBase64Encoded": True,
        "body": body,
        "headers": {"content-type": "image/png"},
    }
    png = HttpResponse(200, [(b"content-type", b"image/png")], b"\x89PNG\0")
    assert v2(result) == v1(result) == png


def test_format_1_merges_both_kinds_of_headers_without_repeating() -> None:
    result = {
        "statusCode": 200,
        "headers": {"X-A": "1", "Set-Cookie": "c=3"},
        "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"], "x-a": ["1"]},
    }
    cookies = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    assert v1(result).headers == [*cookies, (b"x-a", b"1"), (b"set-cookie", b"c=3")]


def test_each_format_ignores_what_only_the_other_knows() -> None:
    result = {"statusCode": 200, "cookies": ["a=1"], "multiValueHeaders": {"x-a": ["1"]}}
    assert v2(result).headers == [(b"set-cookie", b"a=1")]
    assert v1(result).headers == [(b"x-a", b"1")]


def test_headers_of_the_connection_are_not_the_functions_to_set() -> None:
    headers = {"Content-Length": "99", "Transfer-Encoding": "chunked", "Connection": "close", "X-A": "1"}
    assert v2({"statusCode": 200, "headers": headers}).headers == [(b"x-a", b"1")]


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": "abc"},
        {"statusCode": 99},
        {"statusCode": 101},
        {"statusCode": 600},
        {"statusCode": True},
        {"statusCode": 200.5},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "body": "no base64!", "isBase64Encoded": True},
        {"statusCode": 200, "isBase64Encoded": "perhaps"},
        {"statusCode": 200, "headers": ["x"]},
        {"statusCode": 200, "headers": {"x": {"y": 1}}},
        {"statusCode": 200, "headers": {"x": "1\r\nset-cookie: stolen=1"}},
        {"statusCode": 200, "headers": {"x y": "1"}},
        {"statusCode": 200, "headers": {"": "1"}},
        {"statusCode": 200, "headers": {"x": "\ud800"}},
    ],
)
def test_a_malformed_response_object_is_refused_in_both_formats(result: Any) -> None:
    for parse in (v1, v2):
        with pytest.raises(MalformedResult):
            parse(result)


@pytest.mark.parametrize("result", [b"", b"{", b'{"statusCode": NaN}', b"\xff"])
def test_what_is_no_json_is_refused_in_both_formats(result: bytes) -> None:
    for parse in (response_v1, response_v2):
        with pytest.raises(MalformedResult):
            parse(result)


@pytest.mark.parametrize("result", ["text", 7, None, [1], {"body": "x"}, {"statusCode": None}])
def test_format_1_infers_nothing(result: Any) -> None:
    with pytest.raises(MalformedResult):
        v1(result)


@pytest.mark.parametrize(
    "result", [{"statusCode": 200, "cookies": "a=1"}, {"statusCode": 200, "cookies": [{}]}]
)
def test_format_2_wants_a_list_of_cookies(result: Any) -> None:
    with pytest.raises(MalformedResult):
        v2(result)


@pytest.mark.parametrize("multi", [["x"], {"x": "1"}, {"x": [[]]}])
def test_format_1_wants_lists_of_headers(multi: Any) -> None:
    with pytest.raises(MalformedResult):
        v1({"statusCode": 200, "multiValueHeaders": multi})


def test_blanks_around_a_header_value_are_cut_off() -> None:
    assert v1({"statusCode": 200, "multiValueHeaders": {"x": [" 1\n"]}}).headers == [(b"x", b"1")]
