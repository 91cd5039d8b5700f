"""Names and ARNs of layers, as one installation (region and account) understands them."""

from __future__ import annotations

from gateway.errors import ApiError
from gateway.lambda_api.errors import access_denied, invalid_parameter
from gateway.lambda_api.qualifiers import FunctionNames


def layer_arn(names: FunctionNames, name: str) -> str:
    """ARN of a layer."""
    return f"{_prefix(names)}{name}"


def version_arn(names: FunctionNames, name: str, version: int) -> str:
    """ARN of one version of a layer."""
    return f"{_prefix(names)}{name}:{version}"


def layer_name(names: FunctionNames, reference: str) -> str:
    """The name that a name or layer ARN means. Raises ApiError for another region or account."""
    if ":" not in reference:
        return reference
    if not reference.startswith(_prefix(names)):
        raise _foreign(reference)
    return reference.removeprefix(_prefix(names))


def parse_version_arn(names: FunctionNames, arn: str) -> tuple[str, int]:
    """Name and number. Raises ApiError for another region or account, and for what is no version."""
    if not arn.startswith(_prefix(names)):
        raise _foreign(arn)
    name, _, version = arn.removeprefix(_prefix(names)).partition(":")
    if not version.isdecimal():
        raise invalid_parameter(f"Layer version {arn} is not valid: its ARN must end with a version number.")
    return name, int(version)


def _prefix(names: FunctionNames) -> str:
    return names.arn("").removesuffix("function:") + "layer:"


def _foreign(arn: str) -> ApiError:
    return access_denied(
        f"Layer {arn} belongs to another region or account than this installation; publish it here"
    )
