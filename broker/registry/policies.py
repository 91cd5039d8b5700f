"""Resource policies of a function, a version or an alias: statements by their Sid.

Pure steps, like `changes`. A policy shares its revision with what it belongs to, as on AWS: a change of
the policy is a new revision of the function, version or alias.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from broker.invocation import LATEST
from broker.registry.changes import ChangeRefused, check_qualifier, check_revision
from broker.registry.model import FunctionRecord, Policy

MAXIMUM_POLICY_BYTES = 20480


class StatementExists(ChangeRefused):
    """The policy has a statement of that Sid already."""

    def __init__(self, statement_id: str) -> None:
        super().__init__(f"the policy already has a statement {statement_id}")
        self.statement_id = statement_id


class StatementNotFound(ChangeRefused):
    """The policy has no statement of that Sid."""

    def __init__(self, statement_id: str) -> None:
        super().__init__(f"the policy has no statement {statement_id}")
        self.statement_id = statement_id


class NoPolicy(ChangeRefused):
    """There is no policy for that qualifier."""


class PolicyTooLong(ChangeRefused):
    """The policy document would be longer than it may be."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"the policy would have {size_bytes} bytes, more than {MAXIMUM_POLICY_BYTES}")
        self.size_bytes = size_bytes


def add_statement(
    record: FunctionRecord,
    qualifier: str,
    statement_id: str,
    statement: msgspec.Raw,
    *,
    revision_id: str,
    expected_revision: str | None,
) -> FunctionRecord:
    """With a statement added to the policy of `qualifier` (`$LATEST`: the function itself).

    Raises QualifierNotFound, Conflict, StatementExists, PolicyTooLong.
    """
    check_qualifier(record, qualifier)
    check_revision(revision_of(record, qualifier), expected_revision)
    changed = with_statement(record.policies.get(qualifier), statement_id, statement, revision_id)
    policies = {**record.policies, qualifier: changed}
    return _revised(replace(record, policies=policies), qualifier, revision_id)


def remove_statement(
    record: FunctionRecord,
    qualifier: str,
    statement_id: str,
    *,
    revision_id: str,
    expected_revision: str | None,
) -> FunctionRecord:
    """Without that statement; the last one takes the policy with it.

    Raises QualifierNotFound, NoPolicy, StatementNotFound, Conflict.
    """
    check_qualifier(record, qualifier)
    left = without_statement(policy_of(record, qualifier), statement_id, revision_id)
    check_revision(revision_of(record, qualifier), expected_revision)
    policies = {key: value for key, value in record.policies.items() if key != qualifier}
    if left is not None:
        policies[qualifier] = left
    return _revised(replace(record, policies=policies), qualifier, revision_id)


def set_policy(
    record: FunctionRecord, qualifier: str, policy: Policy, *, expected_revision: str | None
) -> FunctionRecord:
    """With that policy instead of what was there. Raises QualifierNotFound, Conflict, PolicyTooLong."""
    check_qualifier(record, qualifier)
    check_revision(revision_of(record, qualifier), expected_revision)
    policies = {**record.policies, qualifier: _checked(policy)}
    return _revised(replace(record, policies=policies), qualifier, policy.revision_id)


def delete_policy(
    record: FunctionRecord, qualifier: str, *, revision_id: str, expected_revision: str | None
) -> FunctionRecord:
    """Without a policy. Raises QualifierNotFound, NoPolicy, Conflict."""
    check_qualifier(record, qualifier)
    policy_of(record, qualifier)
    check_revision(revision_of(record, qualifier), expected_revision)
    policies = {key: value for key, value in record.policies.items() if key != qualifier}
    return _revised(replace(record, policies=policies), qualifier, revision_id)


def with_statement(
    policy: Policy | None, statement_id: str, statement: msgspec.Raw, revision_id: str
) -> Policy:
    """A policy with one more statement. Raises StatementExists, PolicyTooLong."""
    statements = policy.statements if policy else {}
    if statement_id in statements:
        raise StatementExists(statement_id)
    changed = replace(
        policy or Policy(revision_id, {}),
        revision_id=revision_id,
        statements={**statements, statement_id: statement},
    )
    return _checked(changed)


def without_statement(policy: Policy, statement_id: str, revision_id: str) -> Policy | None:
    """A policy without that statement; None after the last one. Raises StatementNotFound."""
    if statement_id not in policy.statements:
        raise StatementNotFound(statement_id)
    left = {sid: statement for sid, statement in policy.statements.items() if sid != statement_id}
    return replace(policy, revision_id=revision_id, statements=left) if left else None


def policy_of(record: FunctionRecord, qualifier: str) -> Policy:
    """The policy of a qualifier. Raises NoPolicy."""
    policy = record.policies.get(qualifier)
    if policy is None:
        raise NoPolicy(f"function {record.name} has no policy for {qualifier}")
    return policy


def document(policy: Policy) -> str:
    """The policy as JSON text, as the API shows it."""
    statements = {"Statement": list(policy.statements.values())}
    named = {"Id": policy.id} if policy.id else {}
    return msgspec.json.encode({"Version": policy.version, **named, **statements}).decode()


def revision_of(record: FunctionRecord, qualifier: str) -> str:
    """The revision of the function, version or alias that a policy belongs to."""
    if qualifier in record.aliases:
        return record.aliases[qualifier].revision_id
    config = record.version(qualifier)
    return config.revision_id if config else ""


def _checked(policy: Policy) -> Policy:
    size_bytes = len(document(policy))
    if size_bytes > MAXIMUM_POLICY_BYTES:
        raise PolicyTooLong(size_bytes)
    return policy


def _revised(record: FunctionRecord, qualifier: str, revision_id: str) -> FunctionRecord:
    if qualifier == LATEST:
        return replace(record, latest=replace(record.latest, revision_id=revision_id))
    if qualifier in record.aliases:
        alias = replace(record.aliases[qualifier], revision_id=revision_id)
        return replace(record, aliases={**record.aliases, qualifier: alias})
    version = replace(record.versions[qualifier], revision_id=revision_id)
    return replace(record, versions={**record.versions, qualifier: version})
