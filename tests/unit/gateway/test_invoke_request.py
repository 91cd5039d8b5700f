"""What an Invoke request asks for, and how a bad one is refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from gateway.errors import ApiError
from gateway.invoke_request import ASYNC_LIMIT_BYTES, SYNC_LIMIT_BYTES, InvokeRequest, is_invoke_path, parse

PATH = b"/2015-03-31/functions/hello/invocations"


def read(path: bytes = PATH, query: bytes = b"", body: bytes = b"{}", **headers: str) -> InvokeRequest:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return parse(path, query, raw, body)


def refused(**arguments: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        read(**arguments)
    return error.value


def test_a_plain_call_is_synchronous() -> None:
    assert read(body=b'{"a":1}') == InvokeRequest("hello", "", "RequestResponse", False, "", b'{"a":1}')


def test_headers_and_query_are_understood() -> None:
    context = base64.b64encode(b'{"custom":{"a":"b"}}').decode()
    request = read(
        query=b"Qualifier=live",
        x_amz_invocation_type="Event",
        x_amz_log_type="Tail",
        x_amz_client_context=context,
    )
    assert request == InvokeRequest("hello", "live", "Event", True, '{"custom":{"a":"b"}}', b"{}")


def test_an_encoded_arn_is_decoded() -> None:
    path = (
        b"/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Ahello/invocations"
    )
    assert read(path).function_name == "arn:aws:lambda:us-east-1:123456789012:function:hello"


def test_no_payload_is_an_empty_object() -> None:
    assert read(body=b"").payload == b"{}"


@pytest.mark.parametrize("body", [b"{", b"nonsense", b'{"a":\xff}', b"{} {}", b"[" * 5000])
def test_a_payload_that_is_no_json_is_refused(body: bytes) -> None:
    error = refused(body=body)
    assert (error.error_type, error.status) == ("InvalidRequestContentException", 400)
    assert error.message.startswith("Could not parse request body into json: ")


@pytest.mark.parametrize(
    ("kind", "limit"), [("RequestResponse", SYNC_LIMIT_BYTES), ("Event", ASYNC_LIMIT_BYTES)]
)
def test_payloads_up_to_the_limit_pass_and_larger_ones_do_not(kind: str, limit: int) -> None:
    largest = b'"' + b"x" * (limit - 2) + b'"'
    assert len(read(body=largest, x_amz_invocation_type=kind).payload) == limit
    error = refused(body=largest + b" ", x_amz_invocation_type=kind)
    assert (error.error_type, error.status) == ("RequestTooLargeException", 413)
    assert str(limit) in error.message


def test_unknown_types_are_refused_with_the_allowed_ones() -> None:
    error = refused(x_amz_invocation_type="Sometimes")
    assert error.error_type == "ValidationException"
    assert "Value 'Sometimes' at 'invocationType'" in error.message
    assert "Value 'All' at 'logType'" in refused(x_amz_log_type="All").message


@pytest.mark.parametrize("value", ["%%%", base64.b64encode(b"{").decode()])
def test_a_bad_client_context_is_refused(value: str) -> None:
    assert refused(x_amz_client_context=value).error_type == "InvalidRequestContentException"


def test_only_posts_to_invocations_are_invokes() -> None:
    assert is_invoke_path(PATH)
    assert not is_invoke_path(b"/2015-03-31/functions")
