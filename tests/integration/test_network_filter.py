"""`--network filtered`: which addresses functions can send to."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.environment_workbench import workbench
from tests.sandbox_levels import workbench_at
from worker.environments.interface import Succeeded
from worker.sandbox.interface import SandboxUnavailable
from worker.sandbox.levels import IsolationPolicy, Level
from worker.sandbox.process_sandbox import ProcessSandbox

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="the filter needs root")
PRISONER = (Path(__file__).parents[1] / "contract" / "functions" / "prisoner.py").read_text()
REFUSED = (
    *("127.0.0.1", "127.1.2.3", "0.0.0.0", "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1"),
    *("169.254.169.254", "::1", "::ffff:10.1.2.3", "::ffff:169.254.169.254", "fd00::1", "fe80::1%1"),
)
PUBLIC = ("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1")
"""Set aside for documentation: nobody answers."""


@AS_ROOT
async def test_only_public_addresses_and_what_is_allowed_can_be_reached(tmp_path: Path) -> None:
    async with workbench_at(Level.L3, tmp_path, "filtered", ("127.1.2.0/24", "fd00::/16")) as bench:
        tried = await bench.start("prisoner.send_to", bench.code(prisoner=PRISONER))
        outcome = (await tried.run(json.dumps([*REFUSED, *PUBLIC]).encode())).outcome
    assert isinstance(outcome, Succeeded), outcome
    answers = json.loads(outcome.payload)

    refused = {address for address, errors in answers.items() if errors == ["EPERM", "EPERM"]}

    assert refused == set(REFUSED) - {"127.1.2.3", "fd00::1"}
    assert not any("EPERM" in answers[address] for address in (*PUBLIC, "127.1.2.3", "fd00::1"))


@AS_ROOT
async def test_the_runtime_api_of_another_environment_is_out_of_reach(tmp_path: Path) -> None:
    async with workbench_at(Level.L3, tmp_path, "filtered") as bench:
        root = bench.suite_code("bootstrap")
        (root / "prisoner.py").write_text(PRISONER)
        other = await bench.start("app.describe", root, "bootstrap")
        described = (await other.run()).outcome
        assert isinstance(described, Succeeded)
        host, port = json.loads(described.payload)["environ"]["AWS_LAMBDA_RUNTIME_API"].split(":")
        tried = await bench.start("prisoner.connect", root, "bootstrap")

        outcome = (await tried.run(json.dumps([host, int(port)]).encode())).outcome

    assert outcome == Succeeded(b'"EPERM"')


async def test_a_worker_that_cannot_filter_refuses_to_start(tmp_path: Path) -> None:
    sandbox = ProcessSandbox(tmp_path, policy=IsolationPolicy(forced=Level.L1, network="filtered"))

    with pytest.raises(SandboxUnavailable, match=r"isolation L1 with --network filtered \(which needs L3\)"):
        async with workbench(tmp_path, tmp_path / "library", sandbox):
            pass


async def test_below_the_minimum_a_worker_refuses_to_start(tmp_path: Path) -> None:
    sandbox = ProcessSandbox(tmp_path, policy=IsolationPolicy(forced=Level.L0, minimum=Level.L3))

    with pytest.raises(SandboxUnavailable, match="isolation L0 is not to be had"):
        async with workbench(tmp_path, tmp_path / "library", sandbox):
            pass
