"""The environment variables that Lambda reserves and every runtime client counts on."""

from __future__ import annotations

from collections.abc import Mapping

from worker.environments.interface import EnvironmentSpec
from worker.runtimes.default_variables import default_variables
from worker.sandbox.interface import Locations

IMAGE_PATH = "/usr/local/bin:/usr/bin:/bin:/opt/bin"
"""Where an image that says nothing has its programs."""


def process_variables(
    spec: EnvironmentSpec, log_stream: str, locations: Locations, channel: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment of a function's process; the reserved names win over the function's own."""
    return {
        **_beginnings(spec, locations),
        **spec.variables,
        **_of_runtime(spec, locations),
        "AWS_DEFAULT_REGION": spec.region,
        "AWS_REGION": spec.region,
        "AWS_LAMBDA_FUNCTION_NAME": spec.function_name,
        "AWS_LAMBDA_FUNCTION_VERSION": spec.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start" if spec.snap_start else spec.initialization_type,
        **_log_names(spec, log_stream),
        **_log_format(spec),
        "TMPDIR": locations.scratch,
        **({"AWS_LAMBDA_RUNTIME_API": locations.runtime_api} if locations.runtime_api else {}),
        **channel,
    }


def _log_names(spec: EnvironmentSpec, log_stream: str) -> dict[str, str]:
    """Missing with SnapStart, as on Lambda: copies share what they were told at init."""
    if spec.snap_start:
        return {}
    return {"AWS_LAMBDA_LOG_GROUP_NAME": spec.log_group, "AWS_LAMBDA_LOG_STREAM_NAME": log_stream}


def _log_format(spec: EnvironmentSpec) -> dict[str, str]:
    """What runtimes are told of a LoggingConfig: nothing with Text, as on Lambda."""
    if spec.log_format == "Text":
        return {}
    return {"AWS_LAMBDA_LOG_FORMAT": spec.log_format, "AWS_LAMBDA_LOG_LEVEL": spec.application_log_level}


def _beginnings(spec: EnvironmentSpec, locations: Locations) -> dict[str, str]:
    """What a function may set otherwise: the image's environment, or a runtime's."""
    if spec.image is None:
        return default_variables(locations, spec.runtime)
    defaults = {"HOME": locations.scratch, "PATH": IMAGE_PATH, "TZ": ":UTC"}
    return {**defaults, "LAMBDA_TASK_ROOT": "/var/task", **spec.image.environment}


def _of_runtime(spec: EnvironmentSpec, locations: Locations) -> dict[str, str]:
    """What only functions with a runtime are told, as on Lambda."""
    if spec.image is not None:
        return {}
    return {
        "_HANDLER": spec.handler,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{spec.runtime}",
        "LAMBDA_TASK_ROOT": locations.task_root,
        "LAMBDA_RUNTIME_DIR": locations.library or "/var/runtime",
    }


NOT_FOR_EXTENSIONS = frozenset(
    {
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_XRAY_CONTEXT_MISSING",
        "AWS_XRAY_DAEMON_ADDRESS",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "_AWS_XRAY_DAEMON_ADDRESS",
        "_AWS_XRAY_DAEMON_PORT",
        "_HANDLER",
    }
)
"""Variables of the runtime's process alone (AWS's documentation of the Extensions API)."""


def extension_variables(
    spec: EnvironmentSpec, log_stream: str, locations: Locations, channel: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment of an extension's process."""
    given = process_variables(spec, log_stream, locations, channel)
    return {name: value for name, value in given.items() if name not in NOT_FOR_EXTENSIONS}
