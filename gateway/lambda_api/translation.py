"""The broker's and the registry's errors as callers of the API see them."""

from __future__ import annotations

from broker.errors import (
    BrokerError,
    BrokerUnavailable,
    CodeCorrupt,
    CodeNotFound,
    CodeStoreUnavailable,
    Conflict,
    FunctionNotFound,
    Throttled,
)
from broker.registry import alias_changes, changes, event_invoke_configs, provisioned
from gateway.errors import ApiError
from gateway.lambda_api.errors import (
    conflict,
    invalid_parameter,
    not_found,
    nothing_provisioned,
    precondition_failed,
    throttled,
    unavailable,
)
from gateway.lambda_api.qualifiers import FunctionNames


def translate(error: BrokerError, names: FunctionNames) -> ApiError:
    """AWS's answer for an error that an operation had no words of its own for."""
    match error:
        case FunctionNotFound():
            return names.not_found(error.function_name)
        case changes.QualifierNotFound():
            return names.not_found(error.function_name, error.qualifier)
        case alias_changes.AliasNotFound():
            return not_found(f"Cannot find alias arn: {names.arn(error.function_name, error.alias)}")
        case alias_changes.AliasExists():
            return conflict(f"Alias already exists: {names.arn(error.function_name, error.alias)}")
        case event_invoke_configs.NoEventInvokeConfig():
            arn = names.arn(error.function_name, error.qualifier)
            return not_found(f"The function {arn} doesn't have an EventInvokeConfig")
        case provisioned.NoProvisionedConcurrency():
            return nothing_provisioned()
        case alias_changes.RoutingRefused():
            return invalid_parameter(str(error))
        case changes.TooManyTags():
            return invalid_parameter("Number of tags exceeds resource tag limit.")
        case Conflict():
            return precondition_failed()
        case Throttled():
            return throttled()
        case BrokerUnavailable():
            return unavailable("The platform's store does not answer; try again.")
        case CodeNotFound() | CodeCorrupt() | CodeStoreUnavailable():
            return unavailable(f"The function's code cannot be stored or read: {error}")
    return unavailable(f"The platform failed: {type(error).__name__}")
