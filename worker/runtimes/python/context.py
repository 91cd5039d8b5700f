"""The context object that a handler gets: AWS's attributes and methods."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

TRACE_CONTEXT_FIELDS = ("traceparent", "tracestate", "baggage")


class _Members:
    """An object whose named members are read from a dict; absent ones are None."""

    __slots__: tuple[str, ...] = ()

    def __init__(self, members: dict[str, Any]) -> None:
        for name in self.__slots__:
            setattr(self, name, members.get(name))

    def __repr__(self) -> str:
        members = ",".join(f"{name}={getattr(self, name)}" for name in self.__slots__)
        return f"{type(self).__name__}([{members}])"


class CognitoIdentity(_Members):
    """Who called through Cognito; both members are None without it."""

    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")
    cognito_identity_id: str | None
    cognito_identity_pool_id: str | None


class Client(_Members):
    """The calling mobile application."""

    __slots__ = ("app_package_name", "app_title", "app_version_code", "app_version_name", "installation_id")


class ClientContext(_Members):
    """What the caller passed as client context."""

    __slots__ = ("client", "custom", "env")
    client: Any
    custom: Any
    env: Any


def context_names(environ: Mapping[str, str]) -> dict[str, str | None]:
    """The attributes of a context that are the same for every run of an environment."""
    return {
        "function_name": environ.get("AWS_LAMBDA_FUNCTION_NAME"),
        "function_version": environ.get("AWS_LAMBDA_FUNCTION_VERSION"),
        "memory_limit_in_mb": environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
        "log_group_name": environ.get("AWS_LAMBDA_LOG_GROUP_NAME"),
        "log_stream_name": environ.get("AWS_LAMBDA_LOG_STREAM_NAME"),
    }


class LambdaContext:
    """Who runs what, until when."""

    function_name: str | None
    function_version: str | None
    memory_limit_in_mb: str | None
    log_group_name: str | None
    log_stream_name: str | None

    def __init__(
        self,
        names: dict[str, str | None],
        request_id: str,
        invoked_arn: str,
        deadline_ms: int,
        client_context: dict[str, Any] | None,
    ) -> None:
        # One update instead of five look-ups in the environment saves 3 us a run.
        self.__dict__.update(names)
        self.aws_request_id = request_id
        self.invoked_function_arn = invoked_arn
        self.tenant_id = None
        self.identity = CognitoIdentity({})
        self._trace_context = _take_trace_context(client_context)
        self.client_context = _client_context(client_context)
        self._deadline_ms = deadline_ms

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is stopped; 0 when that is past."""
        return max(0, self._deadline_ms - int(time.time() * 1000))

    def w3c(self) -> dict[str, str]:
        """The W3C trace context that came with the client context."""
        return dict(self._trace_context)

    def log(self, message: object) -> None:
        """Write to the function's log as it is."""
        sys.stdout.write(str(message))

    def __repr__(self) -> str:
        names = (
            "aws_request_id log_group_name log_stream_name function_name memory_limit_in_mb "
            "function_version invoked_function_arn client_context identity tenant_id"
        )
        return "LambdaContext([" + ",".join(f"{n}={getattr(self, n)}" for n in names.split()) + "])"


def _take_trace_context(client_context: dict[str, Any] | None) -> dict[str, str]:
    fields = client_context.pop("w3c", None) if client_context else None
    if not isinstance(fields, dict):
        return {}
    return {name: fields[name] for name in TRACE_CONTEXT_FIELDS if isinstance(fields.get(name), str)}


def _client_context(members: dict[str, Any] | None) -> ClientContext | None:
    if members is None:
        return None
    context = ClientContext(members)
    context.client = None if context.client is None else Client(context.client)
    return context
