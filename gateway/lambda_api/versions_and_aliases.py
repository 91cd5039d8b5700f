"""Operations on a function's versions and aliases."""

from __future__ import annotations

from typing import Any

from broker.invocation import LATEST
from broker.registry import alias_changes, version_changes
from broker.registry.model import Alias, FunctionRecord
from gateway.lambda_api import configuration
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import invalid_parameter
from gateway.lambda_api.function_settings import refuse_unsupported
from gateway.lambda_api.paging import Keyed, page_of, version_key
from gateway.lambda_api.qualifiers import FunctionNames
from gateway.lambda_api.snap_start import initialize
from gateway.lambda_api.targets import named_function

Request = dict[str, Any]
Result = dict[str, Any]


async def publish_version(context: Context, request: Request) -> Result:
    name, _ = named_function(context, request, qualified=False)
    refuse_unsupported(request)
    revision, at = configuration.new_revision(), configuration.timestamp()
    number = LATEST

    def change(record: FunctionRecord) -> FunctionRecord:
        nonlocal number
        published, number = version_changes.publish_version(
            record,
            revision_id=revision,
            published_at=at,
            description=request.get("Description"),
            code_sha256=request.get("CodeSha256"),
            expected_revision=request.get("RevisionId"),
        )
        return published

    try:
        stored = await context.registry.update(name, change)
    except version_changes.CodeChanged as error:
        raise invalid_parameter(
            f"CodeSHA256 ({error.expected_sha256}) is different from current CodeSHA256 in $LATEST"
            f" ({error.current_sha256}). Please try again with the CodeSHA256 in $LATEST."
        ) from error
    await initialize(context, stored, stored.versions[number])
    return configuration.describe(context.names, name, stored.versions[number], number)


async def list_versions_by_function(context: Context, request: Request) -> Result:
    name, _ = named_function(context, request)
    record = await context.registry.get(name)
    listed = await page_of(request, outlined_versions(context.names, record))
    return {"Versions": listed.items, "NextMarker": listed.next_marker}


def outlined_versions(names: FunctionNames, record: FunctionRecord) -> Keyed:
    """`$LATEST` and the published versions by number, as lists show them, with qualified ARNs."""
    ordered = [record.latest, *(record.versions[number] for number in sorted(record.versions, key=int))]
    return [
        (version_key(config.version), configuration.outline(names, record.name, config, config.version))
        for config in ordered
    ]


async def create_alias(context: Context, request: Request) -> Result:
    name, _ = named_function(context, request, qualified=False)
    alias = Alias(name=request["Name"], revision_id=configuration.new_revision(), **_members(request))
    record = await context.registry.update(name, lambda record: alias_changes.create_alias(record, alias))
    return _describe(context, record, alias.name)


async def get_alias(context: Context, request: Request) -> Result:
    name, _ = named_function(context, request, qualified=False)
    return _describe(context, await context.registry.get(name), request["Name"])


async def list_aliases(context: Context, request: Request) -> Result:
    name, _ = named_function(context, request, qualified=False)
    record = await context.registry.get(name)
    wanted = request.get("FunctionVersion")
    keyed = [
        (alias, _describe(context, record, alias))
        for alias in sorted(record.aliases)
        if wanted is None or _points_to(record.aliases[alias], wanted)
    ]
    listed = await page_of(request, keyed)
    return {"Aliases": listed.items, "NextMarker": listed.next_marker}


async def update_alias(context: Context, request: Request) -> Result:
    name, _ = named_function(context, request, qualified=False)
    alias, members, revision = request["Name"], _members(request), configuration.new_revision()
    record = await context.registry.update(
        name,
        lambda record: alias_changes.update_alias(
            record, alias, members=members, revision_id=revision, expected_revision=request.get("RevisionId")
        ),
    )
    return _describe(context, record, alias)


async def delete_alias(context: Context, request: Request) -> Result:
    name, _ = named_function(context, request, qualified=False)
    await context.registry.update(name, lambda record: alias_changes.delete_alias(record, request["Name"]))
    return {}


def _members(request: Request) -> dict[str, Any]:
    """Fields of Alias that the request sets."""
    members: dict[str, Any] = {}
    if "FunctionVersion" in request:
        members["function_version"] = request["FunctionVersion"]
    if "Description" in request:
        members["description"] = request["Description"]
    if "RoutingConfig" in request:
        members["additional_version_weights"] = request["RoutingConfig"].get("AdditionalVersionWeights", {})
    return members


def _points_to(alias: Alias, version: str) -> bool:
    return version == alias.function_version or version in alias.additional_version_weights


def _describe(context: Context, record: FunctionRecord, name: str) -> Result:
    alias = record.aliases.get(name)
    if alias is None:
        raise alias_changes.AliasNotFound(record.name, name)
    weights = alias.additional_version_weights
    return {
        "AliasArn": context.names.arn(record.name, name),
        "Name": name,
        "FunctionVersion": alias.function_version,
        "Description": alias.description,
        "RoutingConfig": {"AdditionalVersionWeights": weights} if weights else None,
        "RevisionId": alias.revision_id,
    }
