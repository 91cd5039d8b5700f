"""Policies of Lambda authorizers: may `execute-api:Invoke` be done to a route?

As IAM decides: what a statement denies is denied, and what none allows is denied too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_ACTION = "execute-api:invoke"
_UNDERSTOOD = frozenset(("Sid", "Effect", "Action", "Resource"))


def allows(policy: Mapping[str, Any], arn: str) -> bool:
    """Whether the policy lets a request to `arn` through. Raises ValueError where it is not understood.

    Conditions, NotAction and NotResource are not understood: to pass over them could allow too much.
    """
    statements = policy.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list):
        raise ValueError("policyDocument.Statement is neither a statement nor a list of them")
    effects = {_effect(statement) for statement in statements if _covers(statement, arn)}
    return "Allow" in effects and "Deny" not in effects


def _covers(statement: Any, arn: str) -> bool:
    if not isinstance(statement, dict):
        raise ValueError("a policy's statement is no object")
    if unknown := statement.keys() - _UNDERSTOOD:
        raise ValueError(f"a policy's statement has {', '.join(sorted(unknown))}, which is not supported")
    _effect(statement)
    actions, resources = _listed(statement, "Action"), _listed(statement, "Resource")
    named = any(_pattern(action.lower()).fullmatch(_ACTION) for action in actions)
    return named and any(_pattern(resource).fullmatch(arn) for resource in resources)


def _effect(statement: Mapping[str, Any]) -> str:
    effect = statement.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise ValueError(f"Effect is neither Allow nor Deny, but {effect!r}")
    return str(effect)


def _listed(statement: Mapping[str, Any], member: str) -> list[str]:
    value = statement.get(member)
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
        raise ValueError(f"{member} is neither a text nor a list of texts")
    return values


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    """IAM's wildcards: `*` for anything, slashes too, and `?` for one character."""
    parts = {"*": ".*", "?": "."}
    once = re.sub(r"\*+", "*", text)
    return re.compile("".join(parts.get(char, re.escape(char)) for char in once), re.DOTALL)
