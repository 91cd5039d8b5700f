"""Which function, and which version of it, a request means.

A FunctionName is a name, a partial ARN (`123456789012:function:name`, `function:name`) or a full ARN, each
with an optional `:qualifier`; a request may give a Qualifier beside it. Pure and on the invoke path: the
plain name costs one pattern match.
"""

from __future__ import annotations

import re

from broker.registry.changes import QualifierNotFound
from broker.registry.model import FunctionConfig, FunctionRecord
from broker.registry.routing import Random, route
from gateway.errors import ApiError
from gateway.lambda_api.errors import access_denied, invalid_parameter, not_found, validation

NAME_LENGTH = 64
_PLAIN_NAME = re.compile(r"[a-zA-Z0-9-_]{1,64}")
_REFERENCE = re.compile(
    r"(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?"
    r"(?:(?P<region>[a-z]{2,4}(?:-[a-z]+)+-\d):)?"
    r"(?:(?P<account>\d{12}):)?"
    r"(?:function:)?"
    r"(?P<name>[a-zA-Z0-9-_.]+)"
    r"(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
_PATTERN_SHOWN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?"
    r"(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)


class FunctionNames:
    """Reads function names as one installation (region and account) understands them."""

    __slots__ = ("_account_id", "_arn_prefix", "region")

    def __init__(self, region: str, account_id: str) -> None:
        self.region = region
        self._account_id = account_id
        self._arn_prefix = f"arn:aws:lambda:{region}:{account_id}:function:"

    def arn(self, name: str, qualifier: str = "") -> str:
        return f"{self._arn_prefix}{name}:{qualifier}" if qualifier else self._arn_prefix + name

    def parse(self, function_name: str, qualifier: str = "") -> tuple[str, str]:
        """Name and qualifier (empty: none given) of a percent-decoded FunctionName and Qualifier.

        Raises ApiError: a malformed name, a qualifier that contradicts the one inside the name, another
        region or account.
        """
        if _PLAIN_NAME.fullmatch(function_name):
            return function_name, qualifier
        return self._parse_reference(function_name, qualifier)

    def resolve(self, record: FunctionRecord, qualifier: str, random: Random) -> FunctionConfig:
        """The version that a call with `qualifier` runs; for a weighted alias drawn with `random`.

        Raises ApiError where the function has no such version or alias.
        """
        try:
            return route(record, qualifier, random)
        except QualifierNotFound:
            raise self.not_found(record.name, qualifier) from None

    def not_found(self, name: str, qualifier: str = "") -> ApiError:
        """AWS's answer for a function, version or alias that does not exist."""
        return not_found(f"Function not found: {self.arn(name, qualifier)}")

    def _parse_reference(self, function_name: str, qualifier: str) -> tuple[str, str]:
        match = _REFERENCE.fullmatch(function_name)
        if match is None:
            raise validation(_broken(function_name, f"satisfy regular expression pattern: {_PATTERN_SHOWN}"))
        name, inner = match["name"], match["qualifier"] or ""
        if len(name) > NAME_LENGTH:
            raise validation(_broken(name, f"have length less than or equal to {NAME_LENGTH}"))
        if match["region"] and match["region"] != self.region:
            raise not_found(
                f"Functions from '{match['region']}' are not reachable in this region ('{self.region}')"
            )
        if match["account"] and match["account"] != self._account_id:
            raise access_denied(
                f"Function {function_name} belongs to another account than this one ({self._account_id})"
            )
        if qualifier and inner and qualifier != inner:
            raise invalid_parameter(
                "The derived qualifier from the function name does not match the specified qualifier."
            )
        return name, qualifier or inner


def _broken(value: str, constraint: str) -> str:
    return (
        f"1 validation error detected: Value '{value}' at 'functionName' failed to satisfy constraint:"
        f" Member must {constraint}"
    )
