"""Provisioned concurrency in a function's aggregate."""

from __future__ import annotations

import pytest

from broker.registry import alias_changes, changes, provisioned, version_changes
from broker.registry.alias_changes import RoutingRefused
from broker.registry.changes import MoreThanReserved, QualifierNotFound
from broker.registry.model import FunctionRecord
from tests.provisioned_functions import asked, function


def counts(record: FunctionRecord) -> dict[str, int]:
    return {demand.config.version: demand.count for demand in provisioned.demands(record)}


def test_versions_and_aliases_can_be_provisioned() -> None:
    record = provisioned.provision(function(), "2", asked(3))
    record = provisioned.provision(record, "live", asked(2))
    assert counts(record) == {"1": 2, "2": 3}
    record = provisioned.provision(record, "live", asked(5))
    assert counts(record) == {"1": 5, "2": 3}
    assert counts(provisioned.unprovision(record, "live")) == {"2": 3}


@pytest.mark.parametrize(
    ("record", "qualifier", "refusal"),
    [
        (function(), "$LATEST", provisioned.Unpublished),
        (function(points_to="$LATEST"), "live", provisioned.Unpublished),
        (function(), "3", QualifierNotFound),
        (function(weights={"2": 0.1}), "live", provisioned.WeightedAlias),
        (function(snap_start=True), "live", provisioned.SnapStarted),
        (function(v1=1), "live", provisioned.VersionProvisioned),
        (function(live=1), "1", provisioned.AliasProvisioned),
        (function(reserved=4), "1", MoreThanReserved),
        (function(reserved=6, other=2), "1", MoreThanReserved),
    ],
)
def test_what_makes_no_sense_is_refused(
    record: FunctionRecord, qualifier: str, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        provisioned.provision(record, qualifier, asked(5))


def test_reserved_concurrency_cannot_fall_below_what_is_provisioned() -> None:
    record = changes.reserve_concurrency(function(v1=5), 5)
    with pytest.raises(MoreThanReserved):
        changes.reserve_concurrency(record, 4)


def test_an_alias_that_moves_takes_its_environments_along() -> None:
    record = alias_changes.update_alias(
        function(live=4), "live", members={"function_version": "2"}, revision_id="r", expected_revision=None
    )
    assert counts(record) == {"2": 4}
    with pytest.raises(RoutingRefused, match="unpublished"):
        alias_changes.update_alias(
            record,
            "live",
            members={"function_version": "$LATEST"},
            revision_id="r",
            expected_revision=None,
        )


@pytest.mark.parametrize(
    ("count", "weight", "shares"),
    [(10, 0.1, {"1": 9, "2": 1}), (1, 0.1, {"1": 1}), (3, 0.5, {"1": 1, "2": 2}), (4, 1.0, {"2": 4})],
)
def test_an_alias_that_splits_its_calls_splits_its_environments(
    count: int, weight: float, shares: dict[str, int]
) -> None:
    record = provisioned.provision(function(), "live", asked(count))
    weighted = alias_changes.update_alias(
        record,
        "live",
        members={"additional_version_weights": {"2": weight}},
        revision_id="r",
        expected_revision=None,
    )
    assert counts(weighted) == shares


def test_two_aliases_of_one_version_add_up() -> None:
    record = function(points_to="2", other=3)
    assert counts(provisioned.provision(record, "live", asked(2))) == {"2": 5}


def test_deleting_an_alias_or_a_version_deletes_its_configuration() -> None:
    record = alias_changes.delete_alias(provisioned.provision(function(v2=1), "live", asked(2)), "live")
    assert counts(record) == {"2": 1}
    record = version_changes.delete_version(alias_changes.delete_alias(record, "other"), "2")
    assert not record.provisioned


def test_what_is_not_configured_is_told_from_what_does_not_exist() -> None:
    with pytest.raises(provisioned.NoProvisionedConcurrency):
        provisioned.configuration(function(), "1")
    with pytest.raises(QualifierNotFound):
        provisioned.configuration(function(), "7")
    assert provisioned.unprovision(function(), "1") == function()
