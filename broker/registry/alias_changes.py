"""The steps that make, move and delete aliases: pure, like `changes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from broker.invocation import LATEST
from broker.registry.changes import ChangeRefused, QualifierNotFound, check_revision, without_qualifier
from broker.registry.model import Alias, FunctionRecord


class AliasNotFound(ChangeRefused):
    """The function has no such alias."""

    def __init__(self, function_name: str, alias: str) -> None:
        super().__init__(f"function {function_name} has no alias {alias}")
        self.function_name = function_name
        self.alias = alias


class AliasExists(ChangeRefused):
    """The function has an alias of that name already."""

    def __init__(self, function_name: str, alias: str) -> None:
        super().__init__(f"function {function_name} already has an alias {alias}")
        self.function_name = function_name
        self.alias = alias


class RoutingRefused(ChangeRefused):
    """The weights of an alias do not fit its version."""


def create_alias(record: FunctionRecord, alias: Alias) -> FunctionRecord:
    """With a new alias. Raises AliasExists, QualifierNotFound, RoutingRefused."""
    _check_targets(record, alias)
    if alias.name in record.aliases:
        raise AliasExists(record.name, alias.name)
    return replace(record, aliases={**record.aliases, alias.name: alias})


def update_alias(
    record: FunctionRecord,
    name: str,
    *,
    members: Mapping[str, Any],
    revision_id: str,
    expected_revision: str | None,
) -> FunctionRecord:
    """With `members` (fields of Alias) replaced, under a new revision.

    Raises AliasNotFound, Conflict, QualifierNotFound, RoutingRefused.
    """
    current = record.aliases.get(name)
    if current is None:
        raise AliasNotFound(record.name, name)
    check_revision(current.revision_id, expected_revision)
    alias = replace(current, **members, revision_id=revision_id)
    _check_targets(record, alias)
    return replace(record, aliases={**record.aliases, name: alias})


def delete_alias(record: FunctionRecord, name: str) -> FunctionRecord:
    """Without that alias and what hangs on it; one that does not exist is no error."""
    aliases = {key: alias for key, alias in record.aliases.items() if key != name}
    return replace(without_qualifier(record, name), aliases=aliases)


def targets(alias: Alias) -> tuple[str, ...]:
    """The versions that it leads to."""
    return (alias.function_version, *alias.additional_version_weights)


def _check_targets(record: FunctionRecord, alias: Alias) -> None:
    weights = alias.additional_version_weights
    if len(weights) > 1:
        raise RoutingRefused("Number of items in AdditionalVersionWeights cannot be greater than 1")
    if weights and alias.function_version == LATEST:
        raise RoutingRefused("$LATEST is not supported for an alias pointing to more than 1 version")
    if alias.function_version in weights:
        raise RoutingRefused(
            f"Invalid function version {alias.function_version}. Function version {alias.function_version}"
            " is already included in routing configuration."
        )
    if alias.function_version == LATEST and alias.name in record.provisioned:
        raise RoutingRefused(
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
        )
    for version in targets(alias):
        if record.version(version) is None:
            raise QualifierNotFound(record.name, version)
