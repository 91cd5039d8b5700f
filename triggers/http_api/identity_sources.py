"""Where an authorizer finds whom to authorize: selection expressions such as `$request.header.Authorization`.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from triggers.events.http_events import query_parameters
from triggers.events.http_request import HttpRequest

AUTHORIZATION = "$request.header.Authorization"

_CONTEXT: Mapping[str, Callable[[HttpRequest], str]] = {
    "accountId": lambda request: request.account_id,
    "apiId": lambda request: request.api_id,
    "domainName": lambda request: request.domain_name,
    "httpMethod": lambda request: request.method,
    "identity.sourceIp": lambda request: request.source_ip,
    "path": lambda request: request.path,
    "requestId": lambda request: request.request_id,
    "routeKey": lambda request: request.route_key,
    "stage": lambda request: request.stage,
}


def check_identity_source(expression: str) -> None:
    """Raises ValueError where an expression selects nothing that there is."""
    prefix, name = _split(expression)
    if name and prefix in ("$request.header.", "$request.querystring.", "$stageVariables."):
        return
    if prefix == "$context." and name in _CONTEXT:
        return
    raise ValueError(
        f"identity source {expression!r} is none of $request.header.NAME, $request.querystring.NAME,"
        f" $stageVariables.NAME and $context.NAME with NAME of {', '.join(sorted(_CONTEXT))}"
    )


def identity_of(request: HttpRequest, expressions: Sequence[str]) -> tuple[str, ...] | None:
    """What each expression selects of a request; None where one of them is missing or empty."""
    values = tuple(_select(request, expression) for expression in expressions)
    return values if all(values) else None


def _select(request: HttpRequest, expression: str) -> str:
    prefix, name = _split(expression)
    if prefix == "$request.header.":
        wanted = name.lower().encode()
        return ",".join(value.decode("latin-1") for found, value in request.headers if found == wanted)
    if prefix == "$request.querystring.":
        return ",".join(value for found, value in query_parameters(request.query_string) if found == name)
    if prefix == "$stageVariables.":
        return request.stage_variables.get(name, "")
    return _CONTEXT[name](request)


def _split(expression: str) -> tuple[str, str]:
    for prefix in ("$request.header.", "$request.querystring.", "$stageVariables.", "$context."):
        if expression.startswith(prefix):
            return prefix, expression[len(prefix) :]
    return "", expression
