"""Functions that bring their own `bootstrap`: how it is started, and what is said when it cannot be."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.environment_workbench import Workbench, workbench
from worker.environments.interface import InitFailed


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with workbench(tmp_path, tmp_path / "library") as bench:
        yield bench


async def init_error(bench: Workbench, root: Path) -> tuple[str, str]:
    with pytest.raises(InitFailed) as failure:
        await bench.make("any.thing", root, "bootstrap").environment.start()
    return failure.value.error_type, json.loads(failure.value.document)["errorMessage"]


async def test_a_missing_bootstrap_is_an_invalid_entrypoint(bench: Workbench) -> None:
    error_type, message = await init_error(bench, bench.code())

    assert error_type == "Runtime.InvalidEntrypoint"
    assert message.startswith("Couldn't find valid bootstrap(s): [")


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [("#!/bin/sh\n", 0o644, "permission denied"), ("no program", 0o755, "exec format error")],
)
async def test_a_bootstrap_that_cannot_be_executed_is_an_invalid_entrypoint(
    bench: Workbench, content: str, mode: int, reason: str
) -> None:
    root = bench.code()
    (root / "bootstrap").write_text(content)
    (root / "bootstrap").chmod(mode)

    error_type, message = await init_error(bench, root)

    assert error_type == "Runtime.InvalidEntrypoint"
    assert message.endswith(f"bootstrap: {reason}")


async def test_a_bootstrap_that_never_asks_for_work_times_out(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.environments.init_phase.INIT_SECONDS", 0.2)
    root = bench.code()
    (root / "bootstrap").write_text("#!/bin/sh\necho asleep\nexec sleep 600\n")
    (root / "bootstrap").chmod(0o755)
    tried = bench.make("any.thing", root, "bootstrap", timeout_seconds=0)

    with pytest.raises(InitFailed) as failure:
        await tried.environment.start()

    assert failure.value.error_type == "Sandbox.Timedout"
    assert tried.output == b"asleep\n"


async def test_a_bootstrap_inherits_no_descriptor_but_its_streams(bench: Workbench) -> None:
    root = bench.code()
    (root / "bootstrap").write_text("#!/bin/sh\nls -l /proc/self/fd\n")
    (root / "bootstrap").chmod(0o755)
    tried = bench.make("any.thing", root, "bootstrap")

    with pytest.raises(InitFailed):
        await tried.environment.start()

    links = [line.rpartition(" -> ") for line in tried.output.decode().splitlines() if " -> " in line]
    open_files = {name.split()[-1]: target for name, _, target in links}
    assert set(open_files) == {"0", "1", "2", "3"}, open_files
    assert open_files["0"] == "/dev/null"
    assert open_files["1"] == open_files["2"]
    assert open_files["1"].startswith("pipe:")
    assert open_files["3"].startswith("/proc/")
