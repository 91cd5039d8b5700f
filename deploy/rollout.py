"""Creating a function or bringing it up to date, and waiting until it can be invoked."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from deploy.errors import DeployError

WAIT: Mapping[str, float] = {"Delay": 0.1, "MaxAttempts": 600}


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """What the operator said about a function; None leaves it as it is, or as AWS's default."""

    handler: str | None = None
    runtime: str | None = None
    role: str | None = None
    timeout_seconds: int | None = None
    memory_mb: int | None = None
    environment: Mapping[str, str] | None = None

    def members(self) -> dict[str, Any]:
        """As members of the API's requests."""
        given = {
            "Handler": self.handler,
            "Runtime": self.runtime,
            "Role": self.role,
            "Timeout": self.timeout_seconds,
            "MemorySize": self.memory_mb,
            "Environment": None if self.environment is None else {"Variables": dict(self.environment)},
        }
        return {name: value for name, value in given.items() if value is not None}


def default_runtime() -> str:
    """The Python that runs this command: a machine that can run us can run it."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def defaults_of_new(account_id: str, *, image: bool = False) -> FunctionSettings:
    """What a new function, of a zip or of an image, gets where nothing else is said."""
    runtime = None if image else default_runtime()
    return FunctionSettings(runtime=runtime, role=f"arn:aws:iam::{account_id}:role/lightswitch")


@dataclass(frozen=True, slots=True)
class RolledOut:
    """What was done, and the function's ARN."""

    action: Literal["created", "updated"]
    arn: str


def roll_out(
    client: Any, name: str, code: Mapping[str, Any], wanted: FunctionSettings, defaults: FunctionSettings
) -> RolledOut:
    """Create the function, with `defaults` where nothing is wanted, or update its code and settings.

    `code` is a FunctionCode of the API. Returns when the function can be invoked. Raises DeployError and
    botocore's ClientError.
    """
    try:
        client.get_function_configuration(FunctionName=name)
    except client.exceptions.ResourceNotFoundException:
        return _create(client, name, code, {**defaults.members(), **wanted.members()})
    return _update(client, name, code, wanted.members())


def _create(client: Any, name: str, code: Mapping[str, Any], members: Mapping[str, Any]) -> RolledOut:
    if "ImageUri" in code:
        members = {**members, "PackageType": "Image"}
    elif "Handler" not in members and not members["Runtime"].startswith("provided"):
        raise DeployError(f"{name} is new: say where its code starts, e.g. --handler app.handler")
    answer = client.create_function(FunctionName=name, Code=code, **members)
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=WAIT)
    return RolledOut("created", answer["FunctionArn"])


def _update(client: Any, name: str, code: Mapping[str, Any], members: Mapping[str, Any]) -> RolledOut:
    answer = client.update_function_code(FunctionName=name, **code)
    _until_updated(client, name)
    if members:
        client.update_function_configuration(FunctionName=name, **members)
        _until_updated(client, name)
    return RolledOut("updated", answer["FunctionArn"])


def _until_updated(client: Any, name: str) -> None:
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=WAIT)
