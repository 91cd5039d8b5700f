"""Operations on the policies of layer versions: which accounts may use them.

They are kept and shown. An installation has one account, whose functions may use every layer anyway.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from broker.errors import Conflict
from broker.layer_store.interface import LayerVersion, PolicyChange
from broker.registry import policies
from broker.registry.changes import check_revision
from broker.registry.model import Policy
from gateway.lambda_api.configuration import new_revision
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import not_found, precondition_failed
from gateway.lambda_api.layer_names import layer_name, version_arn
from gateway.lambda_api.permissions import NO_POLICY, allowing, statement_errors

Request = dict[str, Any]
Result = dict[str, Any]


async def add_layer_version_permission(context: Context, request: Request) -> Result:
    statement = json.dumps(_statement(_arn(context, request), request))
    revision = new_revision()

    def change(policy: Policy | None) -> Policy:
        changed = policies.with_statement(
            policy, request["StatementId"], msgspec.Raw(statement.encode()), revision
        )
        _check_revision(policy, request)
        return changed

    await _change(context, request, change)
    return {"Statement": statement, "RevisionId": revision}


async def remove_layer_version_permission(context: Context, request: Request) -> Result:
    revision = new_revision()

    def change(policy: Policy | None) -> Policy | None:
        _check_revision(policy, request)
        if policy is None:
            raise policies.StatementNotFound(request["StatementId"])
        return policies.without_statement(policy, request["StatementId"], revision)

    await _change(context, request, change)
    return {}


async def get_layer_version_policy(context: Context, request: Request) -> Result:
    name = layer_name(context.names, request["LayerName"])
    layer = _existing(context, request, await context.layers.get(name, request["VersionNumber"]))
    if layer.policy is None:
        raise not_found(NO_POLICY)
    return {"Policy": policies.document(layer.policy), "RevisionId": layer.policy.revision_id}


async def _change(context: Context, request: Request, change: PolicyChange) -> None:
    name = layer_name(context.names, request["LayerName"])
    try:
        with statement_errors():
            _existing(
                context, request, await context.layers.change_policy(name, request["VersionNumber"], change)
            )
    except Conflict as error:
        raise precondition_failed("GetLayerPolicy") from error


def _existing(context: Context, request: Request, layer: LayerVersion | None) -> LayerVersion:
    if layer is None:
        raise not_found(f"Layer version {_arn(context, request)} does not exist.")
    return layer


def _check_revision(policy: Policy | None, request: Request) -> None:
    check_revision(policy.revision_id if policy else "", request.get("RevisionId"))


def _arn(context: Context, request: Request) -> str:
    return version_arn(
        context.names, layer_name(context.names, request["LayerName"]), request["VersionNumber"]
    )


def _statement(resource: str, request: Request) -> dict[str, Any]:
    statement = allowing(resource, request)
    if "OrganizationId" in request:
        statement["Condition"] = {"StringEquals": {"aws:PrincipalOrgID": request["OrganizationId"]}}
    return statement
