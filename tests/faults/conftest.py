"""A system of its own for each test, a function that records its runs, and the search for what leaks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.credentials import Credentials
from deploy.endpoint import Endpoint
from tests.deployment_packages import python_package
from tests.faults.callers import FUNCTION, Callers
from tests.faults.journal import Journal
from tests.faults.leaks import no_function_is_left, processes_of
from tests.faults.waiting import eventually
from tests.live_system import LiveSystem

RECORDER = Path(__file__).parent / "functions" / "recorder.py"
QUEUE_RECORDER = RECORDER.with_name("queue_recorder.py")
QUEUE = "orders"
"""The queue or topic whose messages `add_trigger` lets the queue recorder write down."""
LIMIT = 4
"""Reserved concurrency of the recorder where a test wants one."""

STOPPED_WITHIN_SECONDS = 10
"""All that a test invoked has ended, so a drain has nothing to wait for."""

StartSystem = Callable[..., LiveSystem]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that functions can reach: they have their own uid, so none of pytest's; their own /tmp."""
    directory = Path(tempfile.mkdtemp(prefix="lightswitch-faults-", dir="/var/tmp"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def journal(place: Path) -> Journal:
    return Journal(place / "journal")


@pytest.fixture
def start_system(place: Path, journal: Journal, redis_executable: str) -> Iterator[StartSystem]:
    """Start a system; afterwards none of its processes may be left, wherever it was wounded."""
    systems: list[LiveSystem] = []

    def start(*arguments: str) -> LiveSystem:
        systems.append(LiveSystem(place / f"system-{len(systems)}", arguments))
        return systems[-1]

    yield start
    stopping_seconds = [system.close() for system in systems]
    no_function_is_left(journal.entries())
    eventually(f"the end of {processes_of(place)}", lambda: not processes_of(place))
    assert max(stopping_seconds) < STOPPED_WITHIN_SECONDS, "something idle was waited for: a leaked delivery"


@pytest.fixture
def system(start_system: StartSystem) -> LiveSystem:
    """One worker, one gateway, an embedded Redis."""
    return start_system("--workers", "1")


@pytest.fixture
def endpoint(system: LiveSystem) -> Endpoint:
    keys = system.endpoint
    return Endpoint(system.url, keys.region, Credentials(keys.access_key, keys.secret_key))


@pytest.fixture
def add_trigger(system: LiveSystem, endpoint: Endpoint, journal: Journal) -> Callable[..., str]:
    """Deploy the recorder and let a queue call it; the trigger's id."""

    def add(url: str, *, sleep_seconds: float = 0, **settings: object) -> str:
        variables = {"JOURNAL": str(journal.path), "SLEEP_SECONDS": str(sleep_seconds)}
        system.deploy("recorder", python_package(QUEUE_RECORDER), Environment={"Variables": variables})
        document = {
            "kind": "queue",
            "function": "recorder",
            "settings": {"url": url, "queue": QUEUE, "retry_delay_seconds": 0.1, **settings},
        }
        return str(endpoint.send("POST", "/triggers", document)["id"])

    return add


@pytest.fixture
def second_process(system: LiveSystem) -> Iterator[int]:
    """Another triggers process beside the system's own; its pid."""
    program = str(Path(sys.executable).with_name("lightswitch"))
    with subprocess.Popen(
        [program, "triggers", "--data-dir", str(system.data_dir)], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        while "triggers_ready" not in process.stderr.readline():
            assert process.poll() is None
        yield process.pid
        process.kill()


@pytest.fixture
def callers(system: LiveSystem) -> Iterator[Callers]:
    callers = Callers(system)
    yield callers
    callers.close()


@pytest.fixture
def deploy_recorder(journal: Journal) -> Callable[..., None]:
    """Deploy the recorder on a system, with a reserved concurrency or a slow start where asked for."""

    def deploy(system: LiveSystem, *, limit: int | None = None, init_seconds: float = 0) -> None:
        variables = {"JOURNAL": str(journal.path), "INIT_SECONDS": str(init_seconds)}
        system.deploy(FUNCTION, python_package(RECORDER), Environment={"Variables": variables})
        if limit is not None:
            system.client.put_function_concurrency(FunctionName=FUNCTION, ReservedConcurrentExecutions=limit)

    return deploy


@pytest.fixture
def report(record_property: Callable[[str, object], None], journal: Journal) -> Callable[..., None]:
    """Have figures of this test printed at the end of the run; duplicates always are."""

    def figures(**named: object) -> None:
        named["duplicates"] = journal.duplicates()
        record_property("faults", ", ".join(f"{name} {value}" for name, value in named.items()))

    return figures


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Duplicates and recovery times are results, not only a matter of pass or fail."""
    lines = [
        f"{report.nodeid.rpartition('/')[2]}: {value}"
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
        if name == "faults"
    ]
    if lines:
        terminalreporter.section("faults: accepted, run again, recovered")
        terminalreporter.write_line("\n".join(lines))


def kill(pid: int) -> None:
    """End a process as a crash does."""
    os.kill(pid, signal.SIGKILL)
