"""Operations on function URLs: an HTTP address of a function's or an alias's own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from broker.errors import FunctionNotFound
from broker.invocation import LATEST
from broker.registry import url_configs
from broker.registry.changes import QualifierNotFound
from broker.registry.model import Cors, FunctionRecord, FunctionUrlConfig
from gateway.errors import ApiError
from gateway.function_urls.address import new_url_id, url_of
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import conflict, invalid_parameter, not_found
from gateway.lambda_api.paging import page_of
from gateway.lambda_api.targets import named_function

Request = dict[str, Any]
Result = dict[str, Any]


async def create_function_url_config(context: Context, request: Request) -> Result:
    name, key = _named(context, request)
    now = _now()
    config = FunctionUrlConfig(
        url_id=new_url_id(),
        auth_type=request["AuthType"],
        created=now,
        last_modified=now,
        **_members(request),
    )
    # First the way to the function, then the record that counts: no URL that was shown leads nowhere.
    await context.registry.name_url(config.url_id, name)
    try:
        record = await context.registry.update(name, lambda r: url_configs.create_url_config(r, key, config))
    except BaseException as error:
        await context.registry.forget_url(config.url_id)
        if isinstance(error, url_configs.UrlConfigExists):
            raise conflict(
                f"Failed to create function url config for [functionArn = {_arn(context, name, key)}]."
                " Error message:  FunctionUrlConfig exists for this Lambda function"
            ) from error
        if isinstance(error, FunctionNotFound | QualifierNotFound):
            raise not_found("Function does not exist") from error
        raise
    described = _describe(context, record, key)
    del described["LastModifiedTime"]
    return described


async def get_function_url_config(context: Context, request: Request) -> Result:
    name, key = _named(context, request)
    try:
        return _describe(context, await context.registry.get(name), key)
    except (FunctionNotFound, url_configs.NoUrlConfig) as error:
        raise _nothing_there() from error


async def update_function_url_config(context: Context, request: Request) -> Result:
    name, key = _named(context, request)
    members = {"last_modified": _now(), **_members(request)}
    if "AuthType" in request:
        members["auth_type"] = request["AuthType"]
    try:
        record = await context.registry.update(name, lambda r: url_configs.update_url_config(r, key, members))
    except (FunctionNotFound, url_configs.NoUrlConfig) as error:
        raise _nothing_there() from error
    return _describe(context, record, key)


async def delete_function_url_config(context: Context, request: Request) -> Result:
    name, key = _named(context, request)
    url_id = ""

    def change(record: FunctionRecord) -> FunctionRecord:
        nonlocal url_id
        url_id = url_configs.url_config(record, key).url_id
        return url_configs.delete_url_config(record, key)

    try:
        await context.registry.update(name, change)
    except (FunctionNotFound, url_configs.NoUrlConfig) as error:
        raise _nothing_there() from error
    await context.registry.forget_url(url_id)
    return {}


async def list_function_url_configs(context: Context, request: Request) -> Result:
    name, _ = named_function(context, request, qualified=False)
    record = await context.registry.get(name)
    listed = await page_of(
        request, [(key, _describe(context, record, key)) for key in sorted(record.url_configs)]
    )
    return {"FunctionUrlConfigs": listed.items, "NextMarker": listed.next_marker}


async def forget_urls(context: Context, record: FunctionRecord) -> None:
    """The function is gone, and its addresses with it."""
    for config in record.url_configs.values():
        await context.registry.forget_url(config.url_id)


def _named(context: Context, request: Request) -> tuple[str, str]:
    """Name and key of a URL: an alias or `$LATEST`. Raises ApiError for a version."""
    name, qualifier = named_function(context, request)
    if qualifier.isdigit():
        raise invalid_parameter("Function URLs belong to a function or to an alias, not to a version.")
    return name, qualifier or LATEST


def _members(request: Request) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if "InvokeMode" in request:
        members["invoke_mode"] = request["InvokeMode"]
    if "Cors" in request:
        members["cors"] = _cors(request["Cors"])
    return members


def _cors(given: dict[str, Any]) -> Cors | None:
    """An empty object takes a configuration away, as on AWS."""
    if not given:
        return None
    return Cors(
        allow_credentials=given.get("AllowCredentials", False),
        allow_headers=tuple(given.get("AllowHeaders", ())),
        allow_methods=tuple(given.get("AllowMethods", ())),
        allow_origins=tuple(given.get("AllowOrigins", ())),
        expose_headers=tuple(given.get("ExposeHeaders", ())),
        max_age=given.get("MaxAge"),
    )


def _describe(context: Context, record: FunctionRecord, key: str) -> Result:
    config = url_configs.url_config(record, key)
    return {
        "FunctionUrl": url_of(context.base_url, config.url_id),
        "FunctionArn": _arn(context, record.name, key),
        "AuthType": config.auth_type,
        "Cors": _shown(config.cors),
        "CreationTime": config.created,
        "LastModifiedTime": config.last_modified,
        "InvokeMode": config.invoke_mode,
    }


def _shown(cors: Cors | None) -> dict[str, Any] | None:
    if cors is None:
        return None
    lists = {
        "AllowHeaders": cors.allow_headers,
        "AllowMethods": cors.allow_methods,
        "AllowOrigins": cors.allow_origins,
        "ExposeHeaders": cors.expose_headers,
    }
    shown: dict[str, Any] = {name: list(values) for name, values in lists.items() if values}
    if cors.allow_credentials:
        shown["AllowCredentials"] = True
    if cors.max_age is not None:
        shown["MaxAge"] = cors.max_age
    return shown


def _arn(context: Context, name: str, key: str) -> str:
    return context.names.arn(name, "" if key == LATEST else key)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _nothing_there() -> ApiError:
    return not_found("The resource you requested does not exist.")
