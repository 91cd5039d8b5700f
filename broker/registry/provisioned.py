"""Provisioned concurrency in a function's aggregate: who asked for it, and what that means for versions.

Pure, as `changes`. A configuration belongs to a published version or to an alias; environments belong to
versions. A configuration of an alias asks for environments of the version behind it; while the alias splits
its calls, for both versions, by their weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from broker.invocation import LATEST
from broker.registry.changes import ChangeRefused, check_qualifier, check_reserved
from broker.registry.model import FunctionConfig, FunctionRecord, ProvisionedConcurrency


class NoProvisionedConcurrency(ChangeRefused):
    """Nothing was configured for that qualifier."""


class Unpublished(ChangeRefused):
    """Only published versions can be provisioned."""


class WeightedAlias(ChangeRefused):
    """An alias that splits its calls cannot be given provisioned concurrency."""


class VersionProvisioned(ChangeRefused):
    """The version behind the alias has provisioned concurrency of its own."""


class AliasProvisioned(ChangeRefused):
    """An alias that points to the version has provisioned concurrency."""


class SnapStarted(ChangeRefused):
    """The version uses SnapStart, which excludes provisioned concurrency."""


class Demand(msgspec.Struct, frozen=True):
    """How many environments of a version are to be kept initialised. `revision` names the requests behind
    it: what failed for one may be tried again for the next."""

    function_name: str
    config: FunctionConfig
    count: int
    revision: str

    @property
    def key(self) -> str:
        """Names this configuration of the version, as workers do."""
        return f"{self.function_name}:{self.config.version}:{self.config.revision_id}"


def provision(record: FunctionRecord, qualifier: str, asked: ProvisionedConcurrency) -> FunctionRecord:
    """With a configuration set or replaced.

    Raises Unpublished, QualifierNotFound, WeightedAlias, SnapStarted, VersionProvisioned,
    AliasProvisioned, MoreThanReserved.
    """
    if qualifier == LATEST:
        raise Unpublished(f"{record.name}:{LATEST} is not published")
    check_qualifier(record, qualifier)
    alias = record.aliases.get(qualifier)
    if alias is not None and alias.function_version == LATEST:
        raise Unpublished(f"alias {qualifier} of {record.name} points to {LATEST}")
    if alias is not None and alias.additional_version_weights:
        raise WeightedAlias(f"alias {qualifier} of {record.name} splits its calls")
    if record.versions[alias.function_version if alias else qualifier].snap_start:
        raise SnapStarted(f"{record.name}:{qualifier} uses SnapStart")
    _check_overlap(record, qualifier)
    return check_reserved(replace(record, provisioned={**record.provisioned, qualifier: asked}))


def unprovision(record: FunctionRecord, qualifier: str) -> FunctionRecord:
    """Without a configuration; one that does not exist is no error. Raises QualifierNotFound."""
    check_qualifier(record, qualifier)
    left = {key: value for key, value in record.provisioned.items() if key != qualifier}
    return replace(record, provisioned=left)


def configuration(record: FunctionRecord, qualifier: str) -> ProvisionedConcurrency:
    """What is configured. Raises QualifierNotFound, NoProvisionedConcurrency."""
    check_qualifier(record, qualifier)
    found = record.provisioned.get(qualifier)
    if found is None:
        raise NoProvisionedConcurrency(f"{record.name}:{qualifier}")
    return found


def versions_of(record: FunctionRecord, qualifier: str) -> Mapping[str, int]:
    """How many environments of which versions a configuration asks for."""
    count = record.provisioned[qualifier].requested
    alias = record.aliases.get(qualifier)
    if alias is None:
        return {qualifier: count}
    shares = {
        version: math.floor(count * weight + 0.5)
        for version, weight in alias.additional_version_weights.items()
    }
    shares[alias.function_version] = count - sum(shares.values())
    return {version: share for version, share in shares.items() if share and version != LATEST}


def is_provisioned(record: FunctionRecord, version: str) -> bool:
    """Whether environments of that version are kept initialised."""
    return any(version in versions_of(record, qualifier) for qualifier in record.provisioned)


def demands(record: FunctionRecord) -> list[Demand]:
    """What workers are to keep initialised, by version."""
    counts: dict[str, int] = {}
    revisions: dict[str, list[str]] = {}
    for qualifier in sorted(record.provisioned):
        for version, count in versions_of(record, qualifier).items():
            counts[version] = counts.get(version, 0) + count
            revisions.setdefault(version, []).append(record.provisioned[qualifier].revision_id)
    return [
        Demand(record.name, record.versions[version], count, ",".join(revisions[version]))
        for version, count in sorted(counts.items())
        if version in record.versions
    ]


def _check_overlap(record: FunctionRecord, qualifier: str) -> None:
    alias = record.aliases.get(qualifier)
    if alias is not None and alias.function_version in record.provisioned:
        raise VersionProvisioned(f"{record.name}:{alias.function_version} behind {qualifier}")
    pointing = [
        name
        for name, other in record.aliases.items()
        if other.function_version == qualifier and name in record.provisioned
    ]
    if pointing:
        raise AliasProvisioned(f"{record.name}: {pointing[0]}")
