"""What a configuration's status says, from what workers say."""

from __future__ import annotations

import pytest

from broker.provisioning.model import Announcement, Holding
from broker.provisioning.standing import Standing, standing
from broker.registry.provisioned import NoProvisionedConcurrency
from tests.provisioned_functions import function


def holds(
    initialised: int, available: int, *, version: str = "1", put: str = "put-v1", failure: str = ""
) -> Announcement:
    holding = Holding(f"f:{version}:rev-{version}", initialised, available, put, failure)
    return Announcement(f"worker-{initialised}-{available}", 1000, (), (holding,))


def test_it_is_in_progress_until_all_workers_together_hold_what_was_asked_for() -> None:
    record = function(v1=3)
    assert standing(record, "1", []) == Standing(3, 0, 0, "IN_PROGRESS")
    assert standing(record, "1", [holds(2, 2)]) == Standing(3, 2, 2, "IN_PROGRESS")
    assert standing(record, "1", [holds(2, 2), holds(1, 0)]) == Standing(3, 3, 2, "READY")


def test_more_than_was_asked_for_is_not_shown() -> None:
    assert standing(function(v1=1), "1", [holds(2, 2), holds(1, 1)]) == Standing(1, 1, 1, "READY")


def test_environments_of_another_configuration_of_the_version_do_not_count() -> None:
    stale = Announcement("w", 1000, (), (Holding("f:1:other-revision", 2, 2, "put-v1"),))
    assert standing(function(v1=2), "1", [stale]).allocated == 0


def test_a_failure_counts_for_the_request_that_it_was_met_for() -> None:
    said = [holds(0, 0, failure="FUNCTION_ERROR_INIT_FAILURE")]
    failed = standing(function(v1=2), "1", said)
    assert failed == Standing(2, 0, 0, "FAILED", "FUNCTION_ERROR_INIT_FAILURE")
    former = [holds(0, 0, put="put-former", failure="FUNCTION_ERROR_INIT_FAILURE")]
    assert standing(function(v1=2), "1", former).status == "IN_PROGRESS"


def test_a_failure_that_others_made_up_for_is_none() -> None:
    said = [holds(0, 0, failure="FUNCTION_ERROR_INIT_FAILURE"), holds(2, 2)]
    assert standing(function(v1=2), "1", said) == Standing(2, 2, 2, "READY")


def test_aliases_of_one_version_share_in_the_order_of_their_names() -> None:
    record = function(points_to="2", live=2, other=2)
    said = [holds(3, 3, version="2")]
    assert standing(record, "live", said) == Standing(2, 2, 2, "READY")
    assert standing(record, "other", said) == Standing(2, 1, 1, "IN_PROGRESS")


def test_an_alias_that_splits_its_calls_adds_up_its_versions() -> None:
    record = function(weights={"2": 0.5}, live=4)
    said = [holds(2, 2), holds(1, 1, version="2")]
    assert standing(record, "live", said) == Standing(4, 3, 3, "IN_PROGRESS")
    assert standing(record, "live", [*said, holds(1, 0, version="2")]).status == "READY"


def test_nothing_configured_has_no_standing() -> None:
    with pytest.raises(NoProvisionedConcurrency):
        standing(function(), "1", [])
