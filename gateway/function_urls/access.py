"""Who may call a function URL: everybody where the resource policy says so, else who signs for AWS_IAM.

Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

import msgspec

from broker.registry.model import FunctionRecord
from gateway.errors import ApiError

ACTION = "lambda:InvokeFunctionUrl"
_FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see:"
    " https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)


def forbidden() -> ApiError:
    """AWS's answer to who may not call."""
    return ApiError("AccessDeniedException", 403, _FORBIDDEN, message_member="Message", fault="")


def is_public(record: FunctionRecord, qualifier: str) -> bool:
    """Whether the policy of the function or alias lets everybody call a URL of AuthType NONE."""
    policy = record.policies.get(qualifier)
    return policy is not None and any(_opens(bytes(text)) for text in policy.statements.values())


@lru_cache(maxsize=4096)
def _opens(statement_json: bytes) -> bool:
    statement = msgspec.json.decode(statement_json)
    return (
        statement.get("Effect") == "Allow"
        and _is_everybody(statement.get("Principal"))
        and any(_matches(ACTION, pattern) for pattern in _listed(statement.get("Action", [])))
        and _holds(statement.get("Condition", {}))
    )


def _is_everybody(principal: Any) -> bool:
    return principal == "*" or (isinstance(principal, dict) and "*" in _listed(principal.get("AWS", [])))


def _matches(action: str, pattern: str) -> bool:
    """As policies compare actions: in any case, with `*` and `?`."""
    return fnmatchcase(action.lower(), pattern.lower().replace("[", "[[]"))


def _listed(value: Any) -> list[Any]:
    """Policies may write one value without its list."""
    return value if isinstance(value, list) else [value]


def _holds(condition: dict[str, Any]) -> bool:
    """Only the URL's authentication type is known of an anonymous caller; any other demand is not met."""
    equals = dict(condition.get("StringEquals", {}))
    auth_type = equals.pop("lambda:FunctionUrlAuthType", "NONE")
    return auth_type == "NONE" and not equals and set(condition) <= {"StringEquals"}


def iam_authorizer(access_key_id: str, account_id: str) -> dict[str, Any]:
    """`requestContext.authorizer` for a signed request: our keys are the account's own."""
    return {
        "iam": {
            "accessKey": access_key_id,
            "accountId": account_id,
            "callerId": account_id,
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": f"arn:aws:iam::{account_id}:root",
            "userId": account_id,
        }
    }
