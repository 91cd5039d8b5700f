"""The steps that publish and delete versions, and say how their snapshots went: pure, like `changes`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from msgspec.structs import replace

from broker.registry.alias_changes import targets
from broker.registry.changes import ChangeRefused, check_revision, without_qualifier
from broker.registry.model import FunctionConfig, FunctionRecord

AWAITING_SNAPSHOT: Mapping[str, Any] = {
    "state": "Pending",
    "state_reason": "The function is being created.",
    "state_reason_code": "Creating",
}
"""Of a version that is to be initialised before it can be called."""


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
    users = [alias.name for alias in record.aliases.values() if version in targets(alias)]
    if users:
        raise VersionInUse(version, sorted(users))
    versions = {number: config for number, config in record.versions.items() if number != version}
    return replace(without_qualifier(record, version), versions=versions)


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
