"""Operations on resource policies: who else may invoke a function."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from broker.invocation import LATEST
from broker.registry import policies
from broker.registry.model import FunctionRecord
from gateway.lambda_api.configuration import new_revision
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import conflict, invalid_parameter, not_found, policy_too_long
from gateway.lambda_api.targets import named_function

Request = dict[str, Any]
Result = dict[str, Any]

NO_POLICY = "No policy is associated with the given resource."
_ACCOUNT = re.compile(r"\d{12}")


async def add_permission(context: Context, request: Request) -> Result:
    name, qualifier = named_resource(context, request)
    statement = json.dumps(_statement(context.names.arn(name, _resource_qualifier(qualifier)), request))
    sid, revision = request["StatementId"], new_revision()

    def change(record: FunctionRecord) -> FunctionRecord:
        return policies.add_statement(
            record,
            qualifier,
            sid,
            msgspec.Raw(statement.encode()),
            revision_id=revision,
            expected_revision=request.get("RevisionId"),
        )

    with statement_errors():
        await context.registry.update(name, change)
    return {"Statement": statement}


async def remove_permission(context: Context, request: Request) -> Result:
    name, qualifier = named_resource(context, request)
    sid, revision = request["StatementId"], new_revision()

    def change(record: FunctionRecord) -> FunctionRecord:
        return policies.remove_statement(
            record, qualifier, sid, revision_id=revision, expected_revision=request.get("RevisionId")
        )

    with statement_errors():
        await context.registry.update(name, change)
    return {}


async def get_policy(context: Context, request: Request) -> Result:
    name, qualifier = named_resource(context, request)
    record = await context.registry.get(name)
    try:
        policy = policies.policy_of(record, qualifier)
    except policies.NoPolicy as error:
        raise not_found("The resource you requested does not exist.") from error
    return {"Policy": policies.document(policy), "RevisionId": policies.revision_of(record, qualifier)}


@contextmanager
def statement_errors() -> Iterator[None]:
    """What a change of a policy may be refused with, in AWS's words."""
    try:
        yield
    except policies.StatementExists as error:
        raise conflict(
            f"The statement id ({error.statement_id}) provided already exists. Please provide a new statement"
            " id, or remove the existing statement."
        ) from error
    except policies.PolicyTooLong as error:
        raise policy_too_long(
            f"The final policy size ({error.size_bytes}) is bigger than the limit"
            f" ({policies.MAXIMUM_POLICY_BYTES})."
        ) from error
    except policies.NoPolicy as error:
        raise not_found(NO_POLICY) from error
    except policies.StatementNotFound as error:
        raise not_found(f"Statement {error.statement_id} is not found in resource policy.") from error


def _resource_qualifier(qualifier: str) -> str:
    """How a statement's resource names it: the function itself without a qualifier."""
    return "" if qualifier == LATEST else qualifier


def named_resource(context: Context, request: Request) -> tuple[str, str]:
    """Name and qualifier (`$LATEST`: the function itself) of what a policy belongs to. Raises ApiError."""
    name, qualifier = named_function(context, request)
    if qualifier == LATEST:
        raise invalid_parameter("We currently do not support adding policies for $LATEST.")
    return name, qualifier or LATEST


def allowing(resource: str, request: Request) -> dict[str, Any]:
    """The statement that a request adds, without conditions. Raises ApiError."""
    return {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(request["Principal"]),
        "Action": request["Action"],
        "Resource": resource,
    }


def _statement(resource: str, request: Request) -> dict[str, Any]:
    statement = allowing(resource, request)
    condition = _condition(request)
    return {**statement, "Condition": condition} if condition else statement


def _principal(principal: str) -> Any:
    if principal == "*":
        return principal
    if _ACCOUNT.fullmatch(principal):
        return {"AWS": f"arn:aws:iam::{principal}:root"}
    if principal.startswith("arn:"):
        return {"AWS": principal}
    if "." in principal:
        return {"Service": principal}
    raise invalid_parameter("The provided principal was invalid. Please check the principal and try again.")


def _condition(request: Request) -> dict[str, dict[str, str]]:
    equals = {
        "AWS:SourceAccount": request.get("SourceAccount"),
        "lambda:EventSourceToken": request.get("EventSourceToken"),
        "aws:PrincipalOrgID": request.get("PrincipalOrgID"),
        "lambda:FunctionUrlAuthType": request.get("FunctionUrlAuthType"),
    }
    condition = {}
    given = {key: value for key, value in equals.items() if value is not None}
    if given:
        condition["StringEquals"] = given
    if "SourceArn" in request:
        condition["ArnLike"] = {"AWS:SourceArn": request["SourceArn"]}
    if "InvokedViaFunctionUrl" in request:
        via_url = str(request["InvokedViaFunctionUrl"]).lower()
        condition["Bool"] = {"lambda:InvokedViaFunctionUrl": via_url}
    return condition
