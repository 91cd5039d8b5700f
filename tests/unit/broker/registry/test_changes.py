"""Steps between function aggregates."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from broker.errors import Conflict
from broker.registry import alias_changes, changes, policies, version_changes
from broker.registry.event_invoke_configs import (
    NoEventInvokeConfig,
    delete_event_invoke_config,
    event_invoke_config,
    set_event_invoke_config,
    update_event_invoke_config,
)
from broker.registry.model import Alias, EventInvokeConfig, FunctionRecord
from tests.function_configs import config

RAW = msgspec.Raw(b'{"Sid":"a"}')


def record(description: str = "") -> FunctionRecord:
    latest = config(code_sha256="sha-1", revision_id="rev-1", description=description)
    return FunctionRecord(name="hello", generation=1, latest=latest)


def publish(
    before: FunctionRecord, revision: str = "rev-p", **more: str | None
) -> tuple[FunctionRecord, str]:
    return version_changes.publish_version(
        before, revision_id=revision, published_at="2026-01-02T00:00:00.000+0000", **more
    )


def update(before: FunctionRecord, revision: str, **members: object) -> FunctionRecord:
    return changes.change_latest(before, members=members, revision_id=revision, expected_revision=None)


def two_versions() -> FunctionRecord:
    first, _ = publish(record())
    second, _ = publish(update(first, "rev-2", code_sha256="sha-2"))
    return second


def alias(version: str = "1", **weights: float) -> Alias:
    named = {number.removeprefix("v"): weight for number, weight in weights.items()}
    return Alias("live", version, "rev-a", additional_version_weights=named)


def test_a_change_gets_a_new_revision_and_leaves_the_old_aggregate_alone() -> None:
    before = record()
    after = update(before, "rev-2", memory_mb=256)
    assert (after.latest.memory_mb, after.latest.revision_id) == (256, "rev-2")
    assert (before.latest.memory_mb, before.latest.revision_id) == (128, "rev-1")


def test_a_change_on_another_revision_is_refused() -> None:
    with pytest.raises(Conflict):
        changes.change_latest(record(), members={}, revision_id="rev-2", expected_revision="rev-0")


def test_versions_are_numbered_from_one_and_keep_their_configuration() -> None:
    first, number = publish(record(), description="first")
    assert number == "1"
    assert first.versions["1"].description == "first"
    changed = update(first, "rev-2", memory_mb=256)
    second, number = publish(changed)
    assert number == "2"
    assert (second.versions["1"].memory_mb, second.versions["2"].memory_mb) == (128, 256)


@pytest.mark.parametrize("description", [None, "a note of its own"])
def test_publishing_twice_without_a_change_gives_the_same_version(description: str | None) -> None:
    first, _ = publish(record("what it does"), description=description)
    again, number = publish(first, "rev-other", description="ignored")
    assert number == "1"
    assert again == first


def test_a_changed_description_is_a_change() -> None:
    first, _ = publish(record("old"), description="note")
    assert publish(update(first, "rev-2", description="new"))[1] == "2"


def test_an_update_that_changes_nothing_makes_no_new_version() -> None:
    first, _ = publish(record())
    assert publish(update(first, "rev-2", last_modified="2026-03-03T00:00:00.000+0000"))[1] == "1"


def test_numbers_are_not_given_out_twice() -> None:
    first, _ = publish(record())
    assert publish(version_changes.delete_version(first, "1"))[1] == "2"


def test_a_version_with_snap_start_waits_until_it_is_initialised() -> None:
    pending, number = publish(update(record(), "rev-2", snap_start=True))
    assert pending.latest.state == "Active"
    assert pending.versions[number].state == "Pending"

    active = version_changes.snapshot_taken(pending, number)
    failed = version_changes.snapshot_failed(pending, number, "KeyError: 'x'", "FunctionError")

    assert (active.versions["1"].state, active.versions["1"].state_reason_code) == ("Active", "")
    version = failed.versions["1"]
    assert (version.state, version.last_update_status) == ("Failed", "Failed")
    assert (version.state_reason, version.state_reason_code) == ("KeyError: 'x'", "FunctionError")
    assert version_changes.snapshot_taken(failed, number) == failed  # told twice, or too late
    assert version_changes.snapshot_taken(failed, "7") == failed
    for later in (pending, active, failed):
        assert publish(later, "rev-other")[1] == number


def test_publishing_other_code_than_meant_is_refused() -> None:
    with pytest.raises(version_changes.CodeChanged):
        publish(record(), code_sha256="sha-0")
    with pytest.raises(Conflict):
        publish(record(), expected_revision="rev-0")


def test_a_version_that_aliases_use_cannot_be_deleted() -> None:
    with_alias = alias_changes.create_alias(two_versions(), alias("1", v2=0.5))
    for version in ("1", "2"):
        with pytest.raises(version_changes.VersionInUse) as refused:
            version_changes.delete_version(with_alias, version)
        assert refused.value.aliases == ("live",)


def test_what_hangs_on_a_version_or_alias_goes_with_it() -> None:
    full = alias_changes.create_alias(two_versions(), alias())
    for qualifier in ("2", "live"):
        full = set_event_invoke_config(full, qualifier, EventInvokeConfig(last_modified=0.0))
        full = policies.add_statement(full, qualifier, "a", RAW, revision_id="rev-3", expected_revision=None)
    bare = alias_changes.delete_alias(version_changes.delete_version(full, "2"), "live")
    assert (bare.event_invoke_configs, bare.policies, bare.aliases) == ({}, {}, {})
    assert set(bare.versions) == {"1"}


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (alias("9"), changes.QualifierNotFound),
        (alias("1", v9=0.5), changes.QualifierNotFound),
        (alias("1", v1=0.5), alias_changes.RoutingRefused),
        (alias("1", v1=0.1, v2=0.1), alias_changes.RoutingRefused),
        (alias("$LATEST", v2=0.5), alias_changes.RoutingRefused),
    ],
)
def test_an_alias_must_point_to_versions_that_fit(refused: Alias, error: type[Exception]) -> None:
    with pytest.raises(error):
        alias_changes.create_alias(two_versions(), refused)
    created = alias_changes.create_alias(two_versions(), alias())
    members = {
        "function_version": refused.function_version,
        "additional_version_weights": refused.additional_version_weights,
    }
    with pytest.raises(error):
        alias_changes.update_alias(created, "live", members=members, revision_id="r", expected_revision=None)


def test_an_alias_is_created_once_and_updated_by_revision() -> None:
    created = alias_changes.create_alias(two_versions(), alias())
    with pytest.raises(alias_changes.AliasExists):
        alias_changes.create_alias(created, alias())
    moved = alias_changes.update_alias(
        created, "live", members={"function_version": "2"}, revision_id="rev-b", expected_revision="rev-a"
    )
    assert moved.aliases["live"].function_version == "2"
    with pytest.raises(Conflict):
        alias_changes.update_alias(moved, "live", members={}, revision_id="rev-c", expected_revision="rev-a")
    with pytest.raises(alias_changes.AliasNotFound):
        alias_changes.update_alias(moved, "nobody", members={}, revision_id="rev-c", expected_revision=None)


def test_event_invoke_configs_belong_to_a_qualifier_that_exists() -> None:
    config = EventInvokeConfig(last_modified=1.0, maximum_retry_attempts=1, on_failure="arn")
    with pytest.raises(changes.QualifierNotFound):
        set_event_invoke_config(record(), "7", config)
    stored = set_event_invoke_config(record(), "$LATEST", config)
    updated = update_event_invoke_config(stored, "$LATEST", {"maximum_retry_attempts": 0})
    assert event_invoke_config(updated, "$LATEST") == replace(config, maximum_retry_attempts=0)
    gone = delete_event_invoke_config(updated, "$LATEST")
    for step in (delete_event_invoke_config, event_invoke_config):
        with pytest.raises(NoEventInvokeConfig):
            step(gone, "$LATEST")
    with pytest.raises(NoEventInvokeConfig):
        update_event_invoke_config(gone, "$LATEST", {})


def test_tags_are_merged_counted_and_removed() -> None:
    tagged = changes.tag(changes.tag(record(), {"a": "1", "b": "2"}), {"b": "3"})
    assert tagged.tags == {"a": "1", "b": "3"}
    assert changes.untag(tagged, ["a", "unknown"]).tags == {"b": "3"}
    with pytest.raises(changes.TooManyTags):
        changes.tag(tagged, {f"k{number}": "" for number in range(49)})


def test_a_policy_is_a_revision_of_what_it_belongs_to() -> None:
    full = alias_changes.create_alias(two_versions(), alias())
    for number, qualifier in enumerate(("$LATEST", "1", "live")):
        full = policies.add_statement(
            full,
            qualifier,
            "a",
            RAW,
            revision_id=f"rev-p{number}",
            expected_revision=policies.revision_of(full, qualifier),
        )
        assert policies.revision_of(full, qualifier) == f"rev-p{number}"
    assert full.latest.revision_id == "rev-p0"
    assert full.versions["1"].revision_id == "rev-p1"
    assert full.aliases["live"].revision_id == "rev-p2"


def test_statements_are_added_once_and_removed() -> None:
    def add(before: FunctionRecord, sid: str, expected: str | None = None) -> FunctionRecord:
        return policies.add_statement(
            before, "$LATEST", sid, RAW, revision_id=f"rev-{sid}", expected_revision=expected
        )

    def remove(before: FunctionRecord, sid: str, expected: str | None = None) -> FunctionRecord:
        return policies.remove_statement(
            before, "$LATEST", sid, revision_id="rev-r", expected_revision=expected
        )

    both = add(add(record(), "a"), "b")
    assert policies.document(policies.policy_of(both, "$LATEST")) == (
        '{"Version":"2012-10-17","Id":"default","Statement":[{"Sid":"a"},{"Sid":"a"}]}'
    )
    with pytest.raises(policies.StatementExists):
        add(both, "a")
    with pytest.raises(Conflict):
        add(both, "c", expected="rev-a")
    with pytest.raises(policies.StatementNotFound):
        remove(both, "c")
    with pytest.raises(Conflict):
        remove(both, "a", expected="rev-a")
    with pytest.raises(policies.NoPolicy):
        remove(remove(remove(both, "a"), "b"), "a")


def test_a_policy_has_a_greatest_length() -> None:
    long = msgspec.Raw(b'"' + b"x" * policies.MAXIMUM_POLICY_BYTES + b'"')
    with pytest.raises(policies.PolicyTooLong):
        policies.add_statement(record(), "$LATEST", "a", long, revision_id="rev-2", expected_revision=None)
