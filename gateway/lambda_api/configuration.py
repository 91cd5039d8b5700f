"""A function's configuration as the API shows it (FunctionConfiguration)."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from broker.invocation import LATEST
from broker.registry.model import FunctionConfig
from gateway.lambda_api.image_functions import describe_image_config
from gateway.lambda_api.logging_config import describe_logging_config
from gateway.lambda_api.qualifiers import FunctionNames

CREATING: Mapping[str, str] = {
    "State": "Pending",
    "StateReason": "The function is being created.",
    "StateReasonCode": "Creating",
}
"""What AWS answers to a creation. The record behind it is complete and active by then."""

UPDATING: Mapping[str, str] = {
    "LastUpdateStatus": "InProgress",
    "LastUpdateStatusReason": "The function is being created.",
    "LastUpdateStatusReasonCode": "Creating",
}
"""What AWS answers to an update. The update is complete by then."""

_STATE_MEMBERS = ("State", "StateReason", "StateReasonCode")
_UPDATE_MEMBERS = ("LastUpdateStatus", "LastUpdateStatusReason", "LastUpdateStatusReasonCode")


def describe(names: FunctionNames, name: str, config: FunctionConfig, qualifier: str = "") -> dict[str, Any]:
    """FunctionConfiguration of a version, asked for by `qualifier` (empty: unqualified ARN)."""
    return {
        **outline(names, name, config, qualifier),
        **_state(config),
        "RuntimeVersionConfig": _runtime_version(names, config.runtime),
    }


def outline(names: FunctionNames, name: str, config: FunctionConfig, qualifier: str = "") -> dict[str, Any]:
    """FunctionConfiguration as lists show it: without states."""
    return {
        "FunctionName": name,
        "FunctionArn": names.arn(name, qualifier),
        "Runtime": config.runtime or None,
        "Role": config.role,
        "Handler": config.handler or None,
        "CodeSize": config.code_size,
        "Description": config.description,
        "Timeout": config.timeout_seconds,
        "MemorySize": config.memory_mb,
        "LastModified": config.last_modified,
        "CodeSha256": config.code_sha256,
        "Version": config.version,
        "Environment": {"Variables": config.environment} if config.environment else None,
        "DeadLetterConfig": {"TargetArn": config.dead_letter_arn} if config.dead_letter_arn else None,
        "TracingConfig": _extra(config, "TracingConfig", {"Mode": "PassThrough"}),
        "RevisionId": config.revision_id,
        "PackageType": config.package_type,
        "Architectures": list(config.architectures),
        "EphemeralStorage": {"Size": config.ephemeral_storage_mb},
        "SnapStart": _snap_start(config),
        "ImageConfigResponse": describe_image_config(config),
        "Layers": [{"Arn": layer.arn, "CodeSize": layer.code_size} for layer in config.layers] or None,
        "LoggingConfig": describe_logging_config(name, config.logging),
    }


def _snap_start(config: FunctionConfig) -> dict[str, str]:
    optimized = config.snap_start and config.version != LATEST and config.state == "Active"
    return {
        "ApplyOn": "PublishedVersions" if config.snap_start else "None",
        "OptimizationStatus": "On" if optimized else "Off",
    }


def as_creating(described: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to the request that made this version."""
    return {**{k: v for k, v in described.items() if k not in _UPDATE_MEMBERS}, **CREATING}


def as_updating(described: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to the request that changed `$LATEST`."""
    return {**described, **UPDATING}


def timestamp() -> str:
    """Now, as `LastModified` is written: `2026-11-23T09:30:00.000+0000`."""
    now = time.time()
    milliseconds = int(now * 1000) % 1000
    return time.strftime(f"%Y-%m-%dT%H:%M:%S.{milliseconds:03d}+0000", time.gmtime(now))


def runtime_version_arn(names: FunctionNames, runtime: str) -> str:
    """Of the only version that a runtime has; empty for functions of images."""
    digest = hashlib.sha256(runtime.encode()).hexdigest()
    return f"arn:aws:lambda:{names.region}::runtime:{digest}" if runtime else ""


def new_revision() -> str:
    """A fresh RevisionId."""
    return str(uuid.uuid4())


def _state(config: FunctionConfig) -> dict[str, Any]:
    reason, code = config.state_reason or None, config.state_reason_code or None
    if config.state in ("Active", "Failed"):
        failed = config.last_update_status == "Failed"
        reasons = (reason, code) if failed else (None, None)
        state = (config.state, *(reasons if config.state == "Failed" else (None, None)))
        return {
            **dict(zip(_STATE_MEMBERS, state, strict=True)),
            **dict(zip(_UPDATE_MEMBERS, (config.last_update_status, *reasons), strict=True)),
        }
    return dict(zip(_STATE_MEMBERS, (config.state, reason, code), strict=True))


def _extra(config: FunctionConfig, member: str, default: Mapping[str, Any]) -> dict[str, Any]:
    raw = config.extra.get(member)
    return {**default, **(json.loads(bytes(raw)) if raw is not None else {})}


def _runtime_version(names: FunctionNames, runtime: str) -> dict[str, str] | None:
    arn = runtime_version_arn(names, runtime)
    return {"RuntimeVersionArn": arn} if arn else None
