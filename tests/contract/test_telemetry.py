"""Telemetry as extensions get it, at every sandbox level and with a network of their own."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.environment_workbench import Tried, Workbench
from tests.sandbox_levels import workbench_at
from tests.waiting import until
from worker.environments.interface import Succeeded
from worker.metering import Usage
from worker.sandbox.levels import Level, Network

REQUEST_ID = "7b1c9f5e-0000-4000-8000-000000000001"
EVERYTHING: dict[str, Any] = {
    "path": "/2022-07-01/telemetry",
    "body": {
        "schemaVersion": "2022-12-13",
        "types": ["platform", "function"],
        "buffering": {"timeoutMs": 25},
    },
}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


async def started(bench: Workbench, function: str = "talk", **plan: Any) -> Tried:
    """An environment whose extension `watcher` has subscribed as `plan` says."""
    plans = {"watcher": {"telemetry": EVERYTHING, **plan}}
    tried = bench.make(
        f"app.{function}",
        bench.suite_code("python"),
        variables={"EXTENSION_PLAN": json.dumps(plans)},
        layers=bench.layers_with_extensions("watcher"),
    )
    await tried.environment.start()
    return tried


def said(tried: Tried, member: str) -> list[Any]:
    lines = re.findall(r'{"extension".*', tried.output.decode())
    return [found[member] for line in lines if member in (found := json.loads(line))]


def told(tried: Tried) -> list[dict[str, Any]]:
    """All events that the extension got so far."""
    return [event for batch in said(tried, "batch") for event in batch]


def records(tried: Tried, kind: str) -> list[Any]:
    return [event["record"] for event in told(tried) if event["type"] == kind]


async def run_and_report(tried: Tried) -> None:
    result = await tried.run(b"{}", trace_header="Root=1-2;Parent=3;Sampled=1")
    assert isinstance(result.outcome, Succeeded)
    if result.unfinished:
        await tried.environment.rest()
    tried.environment.report(REQUEST_ID, Usage(12.3456, 7.0, 128, 33), result.outcome)


async def test_an_extension_hears_of_init_of_runs_and_of_what_the_function_writes(bench: Workbench) -> None:
    tried = await started(bench)

    await run_and_report(tried)
    await until(lambda: bool(records(tried, "platform.report")))

    assert said(tried, "subscribed") == ["OK"]
    kinds = [event["type"] for event in told(tried) if event["type"] != "function"]
    kinds.remove("platform.telemetrySubscription")  # the runtime comes up at the same time
    assert kinds == [
        "platform.initStart",
        "platform.initRuntimeDone",
        "platform.extension",
        "platform.initReport",
        "platform.start",
        "platform.runtimeDone",
        "platform.report",
    ]
    assert records(tried, "function") == ["to stdout", "to stderr", "past the streams", "no line end"]
    (start,) = records(tried, "platform.start")
    assert start["tracing"] == {
        "type": "X-Amzn-Trace-Id",
        "value": "Root=1-2;Parent=3;Sampled=1",
        "spanId": "3",
    }
    (done,) = records(tried, "platform.runtimeDone")
    assert (done["requestId"], done["status"], done["metrics"]["producedBytes"]) == (REQUEST_ID, "success", 6)
    (report,) = records(tried, "platform.report")
    assert report["metrics"] == {
        "durationMs": 12.346,
        "billedDurationMs": 20,
        "memorySizeMB": 128,
        "maxMemoryUsedMB": 33,
        "initDurationMs": 7.0,
    }
    (extension,) = records(tried, "platform.extension")
    assert extension == {"name": "watcher", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}


async def test_what_waits_while_the_environment_is_frozen_comes_at_its_end(bench: Workbench) -> None:
    slow = {**EVERYTHING, "body": {**EVERYTHING["body"], "buffering": {"timeoutMs": 30_000}}}
    tried = await started(bench, telemetry=slow)
    await run_and_report(tried)
    tried.environment.freeze()

    await tried.environment.stop()

    assert records(tried, "platform.report")
    assert said(tried, "leaves") == [True]


async def test_lines_over_tcp_and_the_older_logs_api(bench: Workbench) -> None:
    older = {
        "path": "/2020-08-15/logs",
        "protocol": "TCP",
        "body": {"types": ["platform"], "buffering": {"timeoutMs": 25}},
    }
    tried = await started(bench, telemetry=older)

    await run_and_report(tried)
    await until(lambda: bool(records(tried, "platform.report")))

    kinds = [event["type"] for event in told(tried)]
    assert kinds == [
        "platform.logsSubscription",
        "platform.extension",
        "platform.start",
        "platform.end",
        "platform.report",
    ]
    assert set(records(tried, "platform.report")[0]) == {"requestId", "metrics"}


async def test_a_batch_that_is_refused_comes_again(bench: Workbench) -> None:
    tried = await started(bench, refusals=2)

    await run_and_report(tried)
    await until(lambda: bool(records(tried, "platform.report")))

    assert len(records(tried, "platform.initStart")) == 1


@needs_root
@pytest.mark.parametrize("host", ["sandbox.localdomain", "sandbox"])
async def test_awss_names_of_the_sandbox_resolve_in_it(tmp_path: Path, host: str) -> None:
    async with workbench_at(Level.L3, tmp_path) as bench:
        tried = await started(bench, telemetry={**EVERYTHING, "host": host})
        await run_and_report(tried)
        await until(lambda: bool(records(tried, "platform.report")))


@needs_root
@pytest.mark.parametrize("network", ["none", "filtered"])
async def test_telemetry_comes_under_every_network_policy(tmp_path: Path, network: Network) -> None:
    async with workbench_at(Level.L3, tmp_path, network) as bench:
        tried = await started(bench)
        await run_and_report(tried)
        await until(lambda: bool(records(tried, "platform.report")))
