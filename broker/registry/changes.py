"""The steps from one function aggregate to the next: pure, so that compare-and-set may repeat them.

A step gets fresh revision ids and times from its caller and raises a `ChangeRefused` where the aggregate
does not allow it. Which versions, aliases and revisions there are is decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from msgspec.structs import replace

from broker.errors import BrokerError, Conflict
from broker.invocation import LATEST
from broker.registry.model import Alias, EventInvokeConfig, FunctionConfig, FunctionRecord, UpdateRuntimeOn

MAXIMUM_TAGS = 50

AWAITING_SNAPSHOT: Mapping[str, Any] = {
    "state": "Pending",
    "state_reason": "The function is being created.",
    "state_reason_code": "Creating",
}
"""Of a version that is to be initialised before it can be called."""


class ChangeRefused(BrokerError):
    """Base of what a step may refuse with."""


class QualifierNotFound(ChangeRefused):
    """The function has no such version or alias."""

    def __init__(self, function_name: str, qualifier: str) -> None:
        super().__init__(f"function {function_name} has no version or alias {qualifier}")
        self.function_name = function_name
        self.qualifier = qualifier


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


class VersionInUse(ChangeRefused):
    """Aliases point to the version that was to be deleted."""

    def __init__(self, version: str, aliases: Collection[str]) -> None:
        super().__init__(f"aliases {', '.join(aliases)} point to version {version}")
        self.version = version
        self.aliases = tuple(aliases)


class CodeChanged(ChangeRefused):
    """The code is not the one that the caller meant to publish."""

    def __init__(self, expected_sha256: str, current_sha256: str) -> None:
        super().__init__(f"code is {current_sha256}, not {expected_sha256}")
        self.expected_sha256 = expected_sha256
        self.current_sha256 = current_sha256


class MoreThanReserved(ChangeRefused):
    """The function's provisioned concurrency would exceed its reserved concurrency."""

    def __init__(self, provisioned: int, reserved: int) -> None:
        super().__init__(f"{provisioned} environments are provisioned, {reserved} executions reserved")
        self.provisioned = provisioned
        self.reserved = reserved


class TooManyTags(ChangeRefused):
    """More tags than a function may have."""


class NoEventInvokeConfig(ChangeRefused):
    """Nothing was configured for that qualifier."""

    def __init__(self, function_name: str, qualifier: str) -> None:
        super().__init__(f"function {function_name} has no event invoke config for {qualifier}")
        self.function_name = function_name
        self.qualifier = qualifier


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


def publish_version(
    record: FunctionRecord,
    *,
    revision_id: str,
    published_at: str,
    description: str | None = None,
    code_sha256: str | None = None,
    expected_revision: str | None = None,
) -> tuple[FunctionRecord, str]:
    """The aggregate with `$LATEST` published, and the version's number.

    Nothing changes where code and configuration are those of the version published last: then that one's
    number is returned. Raises Conflict, CodeChanged.
    """
    check_revision(record.latest.revision_id, expected_revision)
    if code_sha256 and code_sha256 != record.latest.code_sha256:
        raise CodeChanged(code_sha256, record.latest.code_sha256)
    newest = last_version(record)
    if newest is not None and _unchanged_since(record, newest):
        return record, newest.version
    number = str(record.next_version)
    published = replace(
        record.latest,
        **(AWAITING_SNAPSHOT if record.latest.snap_start else {}),
        version=number,
        revision_id=revision_id,
        last_modified=published_at,
        description=record.latest.description if description is None else description,
    )
    grown = replace(
        record,
        versions={**record.versions, number: published},
        next_version=record.next_version + 1,
        published_description=record.latest.description,
    )
    return grown, number


def snapshot_taken(record: FunctionRecord, version: str) -> FunctionRecord:
    """With a version active that was initialised; one that is not waiting for it stays as it is."""
    return _with_state(record, version, {"state": "Active", "state_reason": "", "state_reason_code": ""})


def snapshot_failed(record: FunctionRecord, version: str, reason: str, code: str) -> FunctionRecord:
    """With a version failed, whose initialisation did not come to an end; `code` is AWS's StateReasonCode."""
    members = {"state": "Failed", "state_reason": reason, "state_reason_code": code}
    return _with_state(record, version, {**members, "last_update_status": "Failed"})


def _with_state(record: FunctionRecord, version: str, members: Mapping[str, Any]) -> FunctionRecord:
    config = record.versions.get(version)
    if config is None or config.state != "Pending":
        return record
    return replace(record, versions={**record.versions, version: replace(config, **members)})


def last_version(record: FunctionRecord) -> FunctionConfig | None:
    """The version published last that still exists."""
    return record.versions[max(record.versions, key=int)] if record.versions else None


def delete_version(record: FunctionRecord, version: str) -> FunctionRecord:
    """Without that version and what hangs on it; a number that does not exist is no error.

    Raises VersionInUse.
    """
    users = [alias.name for alias in record.aliases.values() if version in _targets(alias)]
    if users:
        raise VersionInUse(version, sorted(users))
    versions = {number: config for number, config in record.versions.items() if number != version}
    return replace(_without_qualifier(record, version), versions=versions)


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
    return replace(_without_qualifier(record, name), aliases=aliases)


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


def set_event_invoke_config(
    record: FunctionRecord, qualifier: str, config: EventInvokeConfig
) -> FunctionRecord:
    """With a qualifier's event invoke config set or replaced. Raises QualifierNotFound."""
    check_qualifier(record, qualifier)
    return replace(record, event_invoke_configs={**record.event_invoke_configs, qualifier: config})


def update_event_invoke_config(
    record: FunctionRecord, qualifier: str, members: Mapping[str, Any]
) -> FunctionRecord:
    """With `members` (fields of EventInvokeConfig) replaced.

    Raises QualifierNotFound, NoEventInvokeConfig.
    """
    check_qualifier(record, qualifier)
    config = replace(event_invoke_config(record, qualifier), **members)
    return set_event_invoke_config(record, qualifier, config)


def delete_event_invoke_config(record: FunctionRecord, qualifier: str) -> FunctionRecord:
    """Without a qualifier's event invoke config. Raises NoEventInvokeConfig."""
    event_invoke_config(record, qualifier)
    left = {key: config for key, config in record.event_invoke_configs.items() if key != qualifier}
    return replace(record, event_invoke_configs=left)


def event_invoke_config(record: FunctionRecord, qualifier: str) -> EventInvokeConfig:
    """What is configured for a qualifier. Raises NoEventInvokeConfig."""
    config = record.event_invoke_configs.get(qualifier)
    if config is None:
        raise NoEventInvokeConfig(record.name, qualifier)
    return config


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
    for version in _targets(alias):
        if record.version(version) is None:
            raise QualifierNotFound(record.name, version)


def _targets(alias: Alias) -> tuple[str, ...]:
    return (alias.function_version, *alias.additional_version_weights)


def _without_qualifier(record: FunctionRecord, qualifier: str) -> FunctionRecord:
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


def _unchanged_since(record: FunctionRecord, published: FunctionConfig) -> bool:
    """Whether publishing again would make a version that differs in nothing but its name, time, note and
    state."""
    renamed = replace(
        record.latest,
        state=published.state,
        state_reason=published.state_reason,
        state_reason_code=published.state_reason_code,
        last_update_status=published.last_update_status,
        version=published.version,
        revision_id=published.revision_id,
        last_modified=published.last_modified,
        description=published.description,
    )
    return renamed == published and record.latest.description == record.published_description
