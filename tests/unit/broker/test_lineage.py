"""A function that triggers itself is recognised by what its own trace header says."""

from __future__ import annotations

import os
from unittest.mock import patch

from botocore.handlers import add_recursion_detection_header

from broker.lineage import MOST_RUNS, counted, grafted, is_recursive, merged

ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"


def runs(name: str, times: int, header: str = ROOT) -> str:
    for _ in range(times):
        header = counted(header, name)
    return header


def as_sent_by_boto3(header: str) -> str:
    params: dict[str, dict[str, str]] = {"headers": {}}
    with patch.dict(os.environ, {"AWS_LAMBDA_FUNCTION_NAME": "f", "_X_AMZN_TRACE_ID": header}):
        add_recursion_detection_header(params)
    return params["headers"]["X-Amzn-Trace-Id"]


def test_the_first_run_begins_a_lineage() -> None:
    header = counted(ROOT, "f")
    assert header.startswith(f"{ROOT};Lineage=")
    assert header.endswith(":1")
    assert counted("", "f") == header.removeprefix(f"{ROOT};")


def test_sixteen_runs_are_allowed_and_the_next_is_not() -> None:
    assert not is_recursive(runs("f", MOST_RUNS - 1), "f")
    assert is_recursive(runs("f", MOST_RUNS), "f")
    assert not is_recursive(runs("f", MOST_RUNS), "another")
    assert not is_recursive(ROOT, "f")


def test_functions_that_call_each_other_are_counted_each() -> None:
    header = ROOT
    for _ in range(MOST_RUNS):
        header = counted(counted(as_sent_by_boto3(header), "f"), "g")
    assert is_recursive(as_sent_by_boto3(header), "f")
    assert is_recursive(as_sent_by_boto3(header), "g")


def test_a_lineage_survives_a_header_of_ones_own() -> None:
    own = "Root=1-00000000-000000000000000000000000;Parent=0000000000000001;Sampled=1"
    assert grafted(own, ROOT) == own
    assert grafted(own, runs("f", 3)) == own + runs("f", 3).removeprefix(ROOT)


def test_a_batch_counts_as_its_most_recursive_message() -> None:
    header = merged([ROOT, runs("f", 2), runs("g", 16), runs("f", 3)])
    assert is_recursive(header, "g")
    assert counted(header, "f") == counted(runs("g", 16, runs("f", 3)), "f")
    assert merged([]) == ""
    assert merged(["", ROOT]) == ROOT


def test_a_lineage_of_many_functions_stays_short_and_keeps_those_in_a_loop() -> None:
    header = runs("loop", 5)
    for number in range(40):
        header = counted(header, f"once-{number}")
    header = runs("loop", MOST_RUNS - 5, header)
    assert len(header) < 300
    assert is_recursive(header, "loop")


def test_what_is_no_lineage_counts_nothing() -> None:
    for lineage in ("", "1:a87bd80c:0", "a87bd80c:x", "|||", "A87BD80C:99", "%ff:1"):
        header = f"{ROOT};Lineage={lineage}"
        assert not is_recursive(header, "f")
        assert counted(header, "f") == counted(ROOT, "f")
