"""Lambda authorizers: what the function is asked, and what its answer allows.

Shapes: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from broker.foreign_json import UNREADABLE
from triggers.events.http_events import event_v1, event_v2
from triggers.events.http_request import HttpRequest
from triggers.http_api.execute_api_policy import allows

PayloadFormat = Literal["1.0", "2.0"]


class MalformedVerdict(ValueError):
    """An answer that is none of the authorizer's format; the client gets a 500, as on AWS."""


class Verdict(msgspec.Struct, frozen=True):
    """What an authorizer said. A policy is looked at anew for each route that shares the verdict."""

    is_authorized: bool
    context: Mapping[str, Any]
    principal_id: str = ""
    policy: Mapping[str, Any] | None = None

    def allows(self, route_arn: str) -> bool:
        """Whether the request to a route may go on. Raises MalformedVerdict."""
        if self.policy is None:
            return self.is_authorized
        try:
            return allows(self.policy, route_arn)
        except ValueError as error:
            raise MalformedVerdict(str(error)) from error

    def shown(self, payload_format: PayloadFormat) -> dict[str, Any]:
        """As the route's function finds it under `requestContext.authorizer`, in the format of the route."""
        if payload_format == "2.0":
            return {"lambda": dict(self.context) or None}
        principal = {"principalId": self.principal_id} if self.principal_id else {}
        return {**self.context, **principal}


def authorizer_event(
    request: HttpRequest, payload_format: PayloadFormat, identity: tuple[str, ...], route_arn: str
) -> dict[str, Any]:
    """The event of the authorizer's function: the request without its body."""
    if payload_format == "2.0":
        event = event_v2(request)
        event.pop("body", None)
        event.pop("isBase64Encoded")
        asked = {"version": "2.0", "type": "REQUEST", "routeArn": route_arn, "identitySource": list(identity)}
        return asked | event
    event = event_v1(request)
    for member in ("body", "isBase64Encoded"):
        event.pop(member)
    whom = ",".join(identity)
    return {
        "version": "1.0",
        "type": "REQUEST",
        "methodArn": route_arn,
        "identitySource": whom,
        "authorizationToken": whom,
        **event,
    }


def read_verdict(result: bytes, *, simple: bool) -> Verdict:
    """What the authorizer's function returned. Raises MalformedVerdict."""
    try:
        answer = msgspec.json.decode(result)
    except UNREADABLE as error:
        raise MalformedVerdict(f"the authorizer's answer is no valid JSON: {error}") from error
    if not isinstance(answer, dict):
        raise MalformedVerdict("the authorizer's answer is no object")
    context = answer.get("context") or {}
    if not isinstance(context, dict):
        raise MalformedVerdict("context is no object")
    if simple:
        authorized = answer.get("isAuthorized")
        if not isinstance(authorized, bool):
            raise MalformedVerdict("isAuthorized is neither true nor false")
        return Verdict(authorized, context)
    policy, principal = answer.get("policyDocument"), answer.get("principalId")
    if not isinstance(policy, dict) or not isinstance(principal, str):
        raise MalformedVerdict("policyDocument and principalId are wanted")
    return Verdict(False, context, principal, policy)


def route_arn(request: HttpRequest, region: str) -> str:
    """The ARN that a policy names: of the API, stage, method and path that is called."""
    resource = f"{request.api_id}/{request.stage}/{request.method}{request.path}"
    return f"arn:aws:execute-api:{region}:{request.account_id}:{resource}"
