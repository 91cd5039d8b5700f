"""The steps from one function aggregate to the next: pure, so that compare-and-set may repeat them.

A step gets fresh revision ids and times from its caller and raises a `ChangeRefused` where the aggregate
does not allow it. Here are those for functions as a whole; `version_changes`, `alias_changes`,
`event_invoke_configs`, `policies`, `url_configs` and `provisioned` have the others. Which versions, aliases
and revisions there are is decided in these modules and nowhere else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from msgspec.structs import replace

from broker.errors import BrokerError, Conflict
from broker.registry.model import FunctionRecord, UpdateRuntimeOn

MAXIMUM_TAGS = 50


class ChangeRefused(BrokerError):
    """Base of what a step may refuse with."""


class QualifierNotFound(ChangeRefused):
    """The function has no such version or alias."""

    def __init__(self, function_name: str, qualifier: str) -> None:
        super().__init__(f"function {function_name} has no version or alias {qualifier}")
        self.function_name = function_name
        self.qualifier = qualifier


class MoreThanReserved(ChangeRefused):
    """The function's provisioned concurrency would exceed its reserved concurrency."""

    def __init__(self, provisioned: int, reserved: int) -> None:
        super().__init__(f"{provisioned} environments are provisioned, {reserved} executions reserved")
        self.provisioned = provisioned
        self.reserved = reserved


class TooManyTags(ChangeRefused):
    """More tags than a function may have."""


def check_revision(current: str, expected: str | None) -> None:
    """Raises Conflict where the caller expects another revision than the current one."""
    if expected and expected != current:
        raise Conflict(f"revision {expected} is not current, {current} is")


def change_latest(
    record: FunctionRecord, *, members: Mapping[str, Any], revision_id: str, expected_revision: str | None
) -> FunctionRecord:
    """`$LATEST` with `members` (fields of FunctionConfig) replaced, under a new revision. Raises Conflict."""
    check_revision(record.latest.revision_id, expected_revision)
    return replace(record, latest=replace(record.latest, **members, revision_id=revision_id))


def reserve_concurrency(record: FunctionRecord, limit: int | None) -> FunctionRecord:
    """With reserved concurrency; None removes it. Raises MoreThanReserved."""
    return check_reserved(replace(record, reserved_concurrency=limit))


def check_reserved(record: FunctionRecord) -> FunctionRecord:
    """The same. Raises MoreThanReserved where more is provisioned than reserved."""
    limit, provisioned = record.reserved_concurrency, record.provisioned_in_all
    if limit is not None and provisioned > limit:
        raise MoreThanReserved(provisioned, limit)
    return record


def set_recursive_loop(record: FunctionRecord, chosen: Literal["Terminate", "Allow"]) -> FunctionRecord:
    """With another choice of what becomes of recursive loops."""
    return replace(record, recursive_loop=chosen)


def update_runtime_on(record: FunctionRecord, version: str, chosen: UpdateRuntimeOn) -> FunctionRecord:
    """With another choice of when a version gets a new runtime. Raises QualifierNotFound."""
    check_qualifier(record, version)
    return replace(record, update_runtime_on={**record.update_runtime_on, version: chosen})


def tag(record: FunctionRecord, tags: Mapping[str, str]) -> FunctionRecord:
    """With tags added or replaced. Raises TooManyTags."""
    merged = {**record.tags, **tags}
    if len(merged) > MAXIMUM_TAGS:
        raise TooManyTags(f"a function has at most {MAXIMUM_TAGS} tags, {len(merged)} were given")
    return replace(record, tags=merged)


def untag(record: FunctionRecord, keys: Collection[str]) -> FunctionRecord:
    """Without those tags; a key that is not there is no error."""
    return replace(record, tags={key: value for key, value in record.tags.items() if key not in keys})


def check_qualifier(record: FunctionRecord, qualifier: str) -> None:
    """Raises QualifierNotFound where it is neither a version nor an alias of the function."""
    if record.version(qualifier) is None and qualifier not in record.aliases:
        raise QualifierNotFound(record.name, qualifier)


def without_qualifier(record: FunctionRecord, qualifier: str) -> FunctionRecord:
    """Without all that hangs on a qualifier which goes."""
    configs = {key: value for key, value in record.event_invoke_configs.items() if key != qualifier}
    policies = {key: value for key, value in record.policies.items() if key != qualifier}
    urls = {key: value for key, value in record.url_configs.items() if key != qualifier}
    provisioned = {key: value for key, value in record.provisioned.items() if key != qualifier}
    runtime_updates = {key: value for key, value in record.update_runtime_on.items() if key != qualifier}
    return replace(
        record,
        event_invoke_configs=configs,
        update_runtime_on=runtime_updates,
        policies=policies,
        url_configs=urls,
        provisioned=provisioned,
    )
