"""Operations on when a function gets a new version of its runtime.

A runtime has one version, that of the workers' machines, and nobody but their operator replaces it. So the
choice is kept and shown, and a version can only be asked for that is there.
"""

from __future__ import annotations

from typing import Any

from broker.invocation import LATEST
from broker.registry import changes
from broker.registry.model import FunctionRecord
from gateway.lambda_api.configuration import runtime_version_arn
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import invalid_parameter
from gateway.lambda_api.targets import named_function, resolved

Request = dict[str, Any]
Result = dict[str, Any]


async def put_runtime_management_config(context: Context, request: Request) -> Result:
    name, qualifier = _named(context, request)
    record = await context.registry.get(name)
    chosen = request["UpdateRuntimeOn"]
    _check_version(context, record, qualifier, chosen, request.get("RuntimeVersionArn"))
    version = qualifier or LATEST
    changed = await context.registry.update(name, lambda r: changes.update_runtime_on(r, version, chosen))
    return _described(context, changed, qualifier)


async def get_runtime_management_config(context: Context, request: Request) -> Result:
    name, qualifier = _named(context, request)
    record = await context.registry.get(name)
    resolved(context, record, qualifier)
    return _described(context, record, qualifier)


def _named(context: Context, request: Request) -> tuple[str, str]:
    """Name and version (empty: none given). Raises ApiError for an alias."""
    name, qualifier = named_function(context, request)
    if qualifier and qualifier != LATEST and not qualifier.isdigit():
        raise invalid_parameter("Runtime management configs belong to versions, not to aliases.")
    return name, qualifier


def _check_version(
    context: Context, record: FunctionRecord, qualifier: str, chosen: str, given: str | None
) -> None:
    """Raises ApiError where mode, version and what the function has do not go together."""
    config = resolved(context, record, qualifier)
    current = runtime_version_arn(context.names, config.runtime)
    if not current:
        raise invalid_parameter("Functions of container images have no runtime management config.")
    if chosen != "Manual":
        if given:
            raise invalid_parameter(f"RuntimeVersionArn goes with UpdateRuntimeOn Manual, not with {chosen}.")
    elif given != current:
        raise invalid_parameter(f"RuntimeVersionArn must be {current}, the only version there is.")


def _described(context: Context, record: FunctionRecord, qualifier: str) -> Result:
    """With the runtime's version where it was chosen by hand, as on AWS."""
    config = resolved(context, record, qualifier)
    mode = record.update_runtime_on.get(qualifier or LATEST, "Auto")
    manual = mode == "Manual"
    return {
        "UpdateRuntimeOn": mode,
        "FunctionArn": context.names.arn(record.name, qualifier),
        "RuntimeVersionArn": runtime_version_arn(context.names, config.runtime) if manual else None,
    }
