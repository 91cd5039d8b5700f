"""A function that imports boto3, as most do, through the real API: its later cold starts find it imported."""

from __future__ import annotations

import json
import os
import textwrap
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from tests.deployment_packages import package
from tests.live_system import LiveSystem

CALLS_AWS = """
    import sys

    ahead = "boto3" in sys.modules

    import boto3, six

    client = boto3.client("s3")

    def handler(event, context):
        return {"ahead": ahead, "six": six.__file__, "region": client.meta.region_name}
"""
OWN_SIX = Path(str(distribution("six").locate_file("six.py"))).read_bytes()
MOST_CALLS = 100


def cold_starts(system: LiveSystem, name: str, calls: int) -> list[Any]:
    """Answers of new environments, each after a change of the function, until one finds boto3 there."""
    answers: list[Any] = []
    while len(answers) < calls and not (answers and answers[-1]["ahead"]):
        memory_mb = 1769 + len(answers)
        system.client.update_function_configuration(FunctionName=name, MemorySize=memory_mb)
        answer = system.client.invoke(FunctionName=name)
        payload = json.load(answer["Payload"])
        assert "FunctionError" not in answer, payload
        answers.append(payload)
    return answers


@pytest.mark.parametrize("brings_six", [False, True], ids=["", "with a module of the same name"])
def test_later_cold_starts_find_boto3_imported_unless_the_function_brings_some_of_it(
    running_system: LiveSystem, function_name: str, brings_six: bool
) -> None:
    own = {"six.py": OWN_SIX} if brings_six else {}
    code = {"app.py": textwrap.dedent(CALLS_AWS).encode(), **own}
    running_system.deploy(function_name, package(code), MemorySize=1769)

    answers = cold_starts(running_system, function_name, 5 if brings_six else MOST_CALLS)

    assert not answers[0]["ahead"]
    if os.geteuid() != 0 and not brings_six and not answers[-1]["ahead"]:
        pytest.skip("without root, HOME may be another directory for each environment; boto3 looks at it")
    assert answers[-1]["ahead"] == (not brings_six)
    assert {answer["six"] for answer in answers} == {f"/var/{'task' if brings_six else 'runtime'}/six.py"}
    assert {answer["region"] for answer in answers} == {running_system.client.meta.region_name}
