"""What a request says about how a function runs, as fields of its FunctionConfig.

Members without an effect yet are echoed where ignoring them does no harm (tracing) and refused
where a success would be a lie (network, file systems, encryption keys).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from broker.registry.model import AS_TEXT, LoggingConfig
from gateway.lambda_api.destinations import check_dead_letter_queue
from gateway.lambda_api.errors import invalid_parameter, not_supported
from gateway.lambda_api.image_functions import image_config_of
from gateway.lambda_api.logging_config import changed_logging_config

ENVIRONMENT_BYTES = 4096

RESERVED_VARIABLES = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)

_DIRECT = {
    "Runtime": "runtime",
    "Handler": "handler",
    "Role": "role",
    "Description": "description",
    "Timeout": "timeout_seconds",
    "MemorySize": "memory_mb",
}
_ECHOED = ("TracingConfig",)
_REFUSED = (
    "AcceleratorConfig",
    "CapacityProviderConfig",
    "CodeSigningConfigArn",
    "DurableConfig",
    "FileSystemConfigs",
    "KMSKeyArn",
    "PublishTo",
    "RuntimeConfig",
    "TenancyConfig",
    "VpcConfig",
)


def settings_of(request: Mapping[str, Any], logging: LoggingConfig = AS_TEXT) -> dict[str, Any]:
    """Fields of FunctionConfig that the request sets; `logging` is what it changes. Raises ApiError."""
    refuse_unsupported(request)
    fields = {field: request[member] for member, field in _DIRECT.items() if member in request}
    if "EphemeralStorage" in request:
        fields["ephemeral_storage_mb"] = request["EphemeralStorage"]["Size"]
    if "Architectures" in request:
        fields["architectures"] = tuple(request["Architectures"])
    if "Environment" in request:
        fields["environment"] = _environment(request["Environment"].get("Variables", {}))
    if "ImageConfig" in request:
        fields["image_config"] = image_config_of(request["ImageConfig"])
    if "SnapStart" in request:
        fields["snap_start"] = request["SnapStart"].get("ApplyOn") == "PublishedVersions"
    if "LoggingConfig" in request:
        fields["logging"] = changed_logging_config(logging, request["LoggingConfig"])
    if "DeadLetterConfig" in request:
        fields["dead_letter_arn"] = _dead_letter_arn(request["DeadLetterConfig"].get("TargetArn", ""))
    return fields


def echoed(request: Mapping[str, Any]) -> dict[str, msgspec.Raw]:
    """Members to be shown again as they are given."""
    return {
        member: msgspec.Raw(json.dumps(request[member]).encode()) for member in _ECHOED if member in request
    }


def refuse_unsupported(request: Mapping[str, Any]) -> None:
    """Raises ApiError (501) naming the first member that asks for something not built yet."""
    for member in _REFUSED:
        if _asks_for_something(request.get(member)):
            raise not_supported(f"{member} is not supported yet.")


def check_handler(runtime: str, handler: str) -> None:
    """Raises ApiError where a zip function lacks what starts it."""
    if not runtime or (not handler and not runtime.startswith("provided")):
        raise invalid_parameter(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )


def check_snap_start(runtime: str, wanted: bool) -> None:
    """Raises ApiError, in AWS's words, for a runtime that cannot be copied once it is initialised."""
    if not wanted or runtime.startswith("python"):
        return
    here = " Lightswitch has SnapStart for Python only." if runtime.startswith(("java", "dotnet")) else ""
    kind = runtime or "Package type Image"
    raise invalid_parameter(f"{kind} is not supported for SnapStart enabled functions.{here}")


def _asks_for_something(value: Any) -> bool:
    """Empty values and `None` switch a feature off; anything else asks for it."""
    if isinstance(value, Mapping):
        return any(_asks_for_something(item) for item in value.values())
    if isinstance(value, list):
        return any(_asks_for_something(item) for item in value)
    return value not in (None, "", False, "None")


def _dead_letter_arn(arn: str) -> str:
    if arn:
        check_dead_letter_queue(arn)
    return arn


def _environment(variables: dict[str, str]) -> dict[str, str]:
    reserved = sorted(RESERVED_VARIABLES.intersection(variables))
    if reserved:
        raise invalid_parameter(
            "Lambda was unable to configure your environment variables because the environment variables"
            " you have provided contains reserved keys that are currently not supported for modification."
            f" Reserved keys used in this request: {', '.join(reserved)}"
        )
    unusable = sorted(name for name, value in variables.items() if "\0" in value)
    if unusable:
        raise invalid_parameter(
            "Lambda was unable to configure your environment variables because values contain the NUL"
            f" character: {', '.join(unusable)}"
        )
    measured = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode()) > ENVIRONMENT_BYTES:
        raise invalid_parameter(
            "Lambda was unable to configure your environment variables because the environment variables"
            f" you have provided exceeded the 4KB limit. String measured: {measured}"
        )
    return variables
