"""Operations on a resource policy as a whole: put, read, delete; `permissions` has its single statements.

What would not be enforced is refused: a policy that denies something, or names what it does not mean.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from broker.foreign_json import UNREADABLE
from broker.registry import policies
from broker.registry.model import FunctionRecord, Policy
from gateway.errors import ApiError
from gateway.lambda_api.configuration import new_revision
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import invalid_parameter, not_found, not_supported
from gateway.lambda_api.permissions import get_policy, named_resource, statement_errors

Request = dict[str, Any]
Result = dict[str, Any]

_INVERTED = ("NotPrincipal", "NotAction", "NotResource")

Texts = str | list[str]


class _Statement(msgspec.Struct, rename="pascal"):
    """The members that are understood; others are kept as they are."""

    effect: Literal["Allow", "Deny"]
    principal: Literal["*"] | dict[str, Texts]
    action: Texts
    resource: Texts = ""
    condition: dict[str, dict[str, Any]] = {}
    sid: str = ""


class _Head(msgspec.Struct, rename="pascal"):
    statement: list[dict[str, Any]] | dict[str, Any]
    version: str = "2008-10-17"
    id: str = ""


async def put_resource_policy(context: Context, request: Request) -> Result:
    """Statements that were there before are gone, those of AddPermission among them."""
    name, qualifier = named_resource(context, _function(request))
    policy = _read(request["Policy"], request["ResourceArn"])

    def change(record: FunctionRecord) -> FunctionRecord:
        return policies.set_policy(record, qualifier, policy, expected_revision=request.get("RevisionId"))

    with statement_errors():
        await context.registry.update(name, change)
    return {"Policy": policies.document(policy), "RevisionId": policy.revision_id}


async def get_resource_policy(context: Context, request: Request) -> Result:
    return await get_policy(context, _function(request))


async def delete_resource_policy(context: Context, request: Request) -> Result:
    name, qualifier = named_resource(context, _function(request))
    revision = new_revision()

    def change(record: FunctionRecord) -> FunctionRecord:
        return policies.delete_policy(
            record, qualifier, revision_id=revision, expected_revision=request.get("RevisionId")
        )

    with statement_errors():
        await context.registry.update(name, change)
    return {}


def _function(request: Request) -> Request:
    """The function that the ARN names. Raises ApiError."""
    arn = request["ResourceArn"]
    if arn.split(":")[5] != "function":
        raise not_found(f"There are no resource policies but those of functions: {arn}")
    return {"FunctionName": arn}


def _read(text: str, resource: str) -> Policy:
    """The policy that a document says. Raises ApiError."""
    try:
        head = msgspec.json.decode(text, type=_Head)
        given = head.statement if isinstance(head.statement, list) else [head.statement]
        read = [_checked(statement, resource) for statement in given]
        kept = [msgspec.Raw(msgspec.json.encode(statement)) for statement in given]
    except UNREADABLE as error:
        raise _malformed(str(error)) from error
    by_sid = {statement.sid or f"statement-{number}": kept[number] for number, statement in enumerate(read)}
    if not by_sid or len(by_sid) < len(given):
        raise _malformed("it needs statements, each with a Sid of its own")
    return Policy(new_revision(), by_sid, head.id, head.version)


def _checked(statement: dict[str, Any], resource: str) -> _Statement:
    """Raises ValueError for what is no statement, ApiError for what would not be enforced."""
    unenforced = [member for member in _INVERTED if member in statement]
    if unenforced or statement.get("Effect") == "Deny":
        what = unenforced[0] if unenforced else "the Effect Deny"
        raise not_supported(f"Statements with {what} are not supported: they would not be enforced.")
    read = msgspec.convert(statement, _Statement)
    if read.resource not in ("", resource, [resource]):
        raise ValueError(f"the Resource of its statements must be {resource}")
    return read


def _malformed(reason: str) -> ApiError:
    return invalid_parameter(f"The provided policy is not valid: {reason}.")
