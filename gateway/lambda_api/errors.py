"""Lambda's error types as makers of `ApiError`.

Statuses and the case of the message member are those of the service model's exception shapes; a test holds
this table to the model. Types that the model does not name (validation, authorisation) follow what AWS sends.
"""

from __future__ import annotations

from gateway.errors import ApiError


def invalid_parameter(message: str) -> ApiError:
    """A value that is well formed and still wrong."""
    return ApiError("InvalidParameterValueException", 400, message)


def validation(message: str) -> ApiError:
    """A value that breaks a constraint of the service model. AWS sends the message alone."""
    return ApiError("ValidationException", 400, message, fault="")


def serialization(message: str) -> ApiError:
    """A body that is no JSON, or has the wrong JSON type somewhere."""
    return ApiError("SerializationException", 400, message, message_member="Message")


def not_found(message: str) -> ApiError:
    return ApiError("ResourceNotFoundException", 404, message, message_member="Message")


def conflict(message: str) -> ApiError:
    return ApiError("ResourceConflictException", 409, message)


def nothing_provisioned() -> ApiError:
    """There is no provisioned concurrency config for the qualifier."""
    return ApiError(
        "ProvisionedConcurrencyConfigNotFoundException",
        404,
        "No Provisioned Concurrency Config found for this function",
    )


def no_code_signing_config(arn: str) -> ApiError:
    """A function was to get a code signing config that does not exist."""
    return ApiError(
        "CodeSigningConfigNotFoundException",
        404,
        "The code signing configuration cannot be found. Check that the provided configuration is not"
        f" deleted: {arn}.",
        message_member="Message",
    )


def precondition_failed(source: str = "GetFunction/GetAlias") -> ApiError:
    """The RevisionId that the caller gave is not the current one, which `source` tells."""
    return ApiError(
        "PreconditionFailedException",
        412,
        f"The Revision Id provided does not match the latest Revision Id. Call the {source} API"
        " to retrieve the latest Revision Id",
    )


def access_denied(message: str) -> ApiError:
    return ApiError("AccessDeniedException", 403, message, message_member="Message")


def policy_too_long(message: str) -> ApiError:
    return ApiError("PolicyLengthExceededException", 400, message)


def too_large(message: str) -> ApiError:
    """The HTTP request's body is over the API's bound."""
    return ApiError("RequestEntityTooLargeException", 413, message)


def throttled(reason: str = "ReservedFunctionConcurrentInvocationLimitExceeded") -> ApiError:
    """The function already runs as often as it may."""
    return ApiError(
        "TooManyRequestsException",
        429,
        "Rate Exceeded.",
        members={"Reason": reason},
        headers={"Retry-After": "1"},
    )


def recursive_invocation(arn: str) -> ApiError:
    """The call continues a recursive loop."""
    text = (
        f"Lambda has detected that your function {arn} is invoked in a recursive loop and stopped its"
        " invocation."
    )
    return ApiError("RecursiveInvocationException", 400, text, message_member="Message")


def not_implemented(operation: str) -> ApiError:
    """Lightswitch does not do this yet; never confused with a success."""
    return not_supported(f"Lightswitch does not implement {operation} yet.")


def not_supported(message: str) -> ApiError:
    """The operation is built, but not for what this request asks of it."""
    return ApiError("NotImplementedException", 501, message, fault="Service")


def unknown_operation(method: str, path: str) -> ApiError:
    return ApiError(
        "UnknownOperationException",
        404,
        f"There is no Lambda operation {method} {path}",
        message_member="Message",
    )


def unavailable(message: str) -> ApiError:
    """We could not do it, and the caller may try again."""
    return ApiError("ServiceException", 500, message, message_member="Message", fault="Service")
