"""The events that a function gets for an HTTP request: API Gateway's payload formats 2.0 and 1.0.

Shapes: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
Function URLs send format 2.0 too.
"""

from __future__ import annotations

import base64
import time
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from triggers.events.http_request import Headers, HttpRequest

_TEXT_TYPES = frozenset(("application/json", "application/javascript", "application/xml"))
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NOBODY = dict.fromkeys(
    (
        "accessKey",
        "accountId",
        "caller",
        "cognitoAmr",
        "cognitoAuthenticationProvider",
        "cognitoAuthenticationType",
        "cognitoIdentityId",
        "cognitoIdentityPoolId",
        "principalOrgId",
        "sourceIp",
        "user",
        "userAgent",
        "userArn",
    )
)
"""The identity of format 1.0, where no AWS identity signed the request."""


def event_v2(request: HttpRequest) -> dict[str, Any]:
    """The event in format 2.0. What the request does not have, AWS leaves out."""
    headers, cookies = _joined(request.headers)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": request.route_key,
        "rawPath": request.path,
        "rawQueryString": request.query_string,
    }
    if cookies:
        event["cookies"] = cookies
    event["headers"] = headers
    if request.query_string:
        event["queryStringParameters"] = _joined_query(request.query_string)
    event["requestContext"] = _context_v2(request, headers)
    if request.path_parameters:
        event["pathParameters"] = dict(request.path_parameters)
    if request.stage_variables:
        event["stageVariables"] = dict(request.stage_variables)
    body, encoded = text_or_base64(request.body, headers.get("content-type", ""))
    if request.body:
        event["body"] = body
    event["isBase64Encoded"] = encoded
    return event


def event_v1(request: HttpRequest) -> dict[str, Any]:
    """The event in format 1.0. What the request does not have is null."""
    values: dict[str, list[str]] = {}
    for raw_name, raw_value in request.headers:
        values.setdefault(_text(raw_name), []).append(_text(raw_value))
    last = {name: found[-1] for name, found in values.items()}
    query: dict[str, list[str]] = {}
    for name, value in query_parameters(request.query_string):
        query.setdefault(name, []).append(value)
    body, encoded = text_or_base64(request.body, last.get("content-type", ""))
    return {
        "version": "1.0",
        "resource": _resource(request.route_key),
        "path": request.path,
        "httpMethod": request.method,
        "headers": last,
        "multiValueHeaders": values,
        "queryStringParameters": {name: found[-1] for name, found in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "requestContext": _context_v1(request, last.get("user-agent", "")),
        "pathParameters": dict(request.path_parameters) or None,
        "stageVariables": dict(request.stage_variables) or None,
        "body": body if request.body else None,
        "isBase64Encoded": encoded,
    }


def text_or_base64(body: bytes, content_type: str) -> tuple[str, bool]:
    """A body as the event carries it, and whether that is base64.

    AWS takes `text/*` and JSON, JavaScript and XML proper for text and nothing else: neither forms nor
    bodies without a type. Text that is no UTF-8 would be damaged, so it is encoded too.
    """
    if not body:
        return "", False
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.startswith("text/") or media_type in _TEXT_TYPES:
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


def query_parameters(query_string: str) -> list[tuple[str, str]]:
    """Decoded names and values in their order; `?a` is an empty `a`."""
    return parse_qsl(query_string, keep_blank_values=True, errors="replace") if query_string else []


def clf_time(time_ms: int) -> str:
    """A time as API Gateway writes it: `12/Mar/2020:19:03:58 +0000`. strftime would ask the locale."""
    return _clf_time(time_ms // 1000)


@lru_cache(maxsize=16)
def _clf_time(time_seconds: int) -> str:
    at = time.gmtime(time_seconds)
    clock = f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
    return f"{at.tm_mday:02}/{_MONTHS[at.tm_mon - 1]}/{at.tm_year}:{clock} +0000"


def _context_v2(request: HttpRequest, headers: dict[str, str]) -> dict[str, Any]:
    context: dict[str, Any] = {"accountId": request.account_id, "apiId": request.api_id}
    if request.authorizer is not None:
        context["authorizer"] = dict(request.authorizer)
    return context | {
        "domainName": request.domain_name,
        "domainPrefix": request.domain_name.partition(".")[0],
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request.request_id,
        "routeKey": request.route_key,
        "stage": request.stage,
        "time": clf_time(request.time_ms),
        "timeEpoch": request.time_ms,
    }


def _context_v1(request: HttpRequest, user_agent: str) -> dict[str, Any]:
    context: dict[str, Any] = {"accountId": request.account_id, "apiId": request.api_id}
    if request.authorizer is not None:
        context["authorizer"] = dict(request.authorizer)
    return context | {
        "domainName": request.domain_name,
        "domainPrefix": request.domain_name.partition(".")[0],
        "extendedRequestId": request.request_id,
        "httpMethod": request.method,
        "identity": {**_NOBODY, "sourceIp": request.source_ip, "userAgent": user_agent},
        "path": request.path,
        "protocol": request.protocol,
        "requestId": request.request_id,
        "requestTime": clf_time(request.time_ms),
        "requestTimeEpoch": request.time_ms,
        "resourceId": request.route_key,
        "resourcePath": _resource(request.route_key),
        "stage": request.stage,
    }


def _resource(route_key: str) -> str:
    """The path of a route: `/pets/{id}` of `GET /pets/{id}`; `$default` is its own."""
    return route_key.partition(" ")[2] or route_key


def _joined(headers: Headers) -> tuple[dict[str, str], list[str]]:
    """Headers of one value each, and the cookies, which format 2.0 has apart from them."""
    joined: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, raw_value in headers:
        if raw_name == b"cookie":
            cookies += filter(None, map(str.strip, _text(raw_value).split(";")))
            continue
        name, value = _name(raw_name), _text(raw_value)
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined, cookies


def _joined_query(query_string: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in query_parameters(query_string):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


@lru_cache(maxsize=512)
def _name(raw: bytes) -> str:
    """Clients send the same few names all day."""
    return _text(raw)


def _text(raw: bytes) -> str:
    """Header bytes: UTF-8 where they are, else each byte a character, as HTTP once had it."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
