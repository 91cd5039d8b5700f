"""What functions import at init, learned from their first environment: later ones find it done."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from tests.environment_workbench import Tried, Workbench
from tests.sandbox_levels import workbench_at
from tests.waiting import until
from worker.environments.interface import Succeeded
from worker.sandbox import import_branches
from worker.sandbox.levels import Level

MEMORY_MB = 64
LOOK = """
import os, sys
before = {name for name in ("asyncio", "boto3", "six") if name in sys.modules}
"""
USES = (
    LOOK
    + """
import boto3, six
from botocore.utils import JSONFileCache

def handler(event, context):
    return {
        "ahead": sorted(before),
        "boto3": boto3.__file__,
        "six": six.__file__,
        "cache": JSONFileCache.CACHE_DIR,
        "uid": os.getuid(),
        "services": len(boto3.session.Session().get_available_services()) > 100,
        "modules": sorted(name for name in sys.modules if name.startswith(("boto", "six", "dateutil"))),
        "path": sys.path,
        "variables": {name: value for name, value in os.environ.items() if "LOG_STREAM" not in name},
    }
"""
)
HOSTILE = (
    USES
    + """
import botocore.session, signal

def poison(event, context):
    boto3.client = botocore.session.Session = os.getcwd = None
    boto3.POISON = sys.modules["six"].POISON = True
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for pid in [-1, os.getppid(), *(int(name) for name in os.listdir("/proc") if name.isdigit())]:
        try:
            if pid != os.getpid():
                os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    for number in range(3, 256):
        try:
            os.write(number, b"poison")
        except OSError:
            pass
"""
)
CLEAN = (
    USES
    + """
def clean(event, context):
    return {"ahead": sorted(before), "poison": any(hasattr(module, "POISON") for module in (boto3, six))}
"""
)
STANDARD = (
    LOOK
    + """
import asyncio, ctypes.util, email.mime.multipart, http.server, imaplib, mailbox, optparse
import multiprocessing.pool, pickletools, plistlib, pydoc, tarfile, unittest.mock, xml.dom.minidom
import xmlrpc.server

def handler(event, context):
    return {"ahead": sorted(before), "also": sorted({"rlcompleter"} & set(sys.modules))}
"""
)
SECRETIVE = (
    LOOK
    + """
import asyncio, boto3.s3.transfer, multiprocessing.process, os, random, ssl, tempfile, uuid

def handler(event, context):
    return {
        "ahead": sorted(before),
        "drawn": [
            multiprocessing.current_process().authkey.hex(),
            random.random(),
            random.gauss(0, 1),
            ssl.RAND_bytes(8).hex(),
            str(uuid.uuid1()),
            str(uuid.uuid4()),
            next(tempfile._get_candidate_names()),
        ],
    }
"""
)
STUCK = """
import os, time

sum(range(5_000_000))
while os.getuid() == 0:
    time.sleep(1)
"""
"""Nobody could try that out: the trial is no root's."""
LIES = """
import sys, types
from importlib.machinery import ModuleSpec

for name in {names}:
    module = types.ModuleType(name)
    module.__spec__ = ModuleSpec(name, None, origin=sys.modules["os"].__file__)
    sys.modules[name] = module
"""
OWN_SIX = Path(str(distribution("six").locate_file("six.py"))).read_text()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with workbench_at(Level.L3, tmp_path, imports_mb=MEMORY_MB) as bench:
        yield bench


@pytest.fixture(params=[Level.L3, Level.L2, Level.L1, Level.L0], ids=str)
async def bench_of_level(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Workbench]:
    async with workbench_at(request.param, tmp_path, imports_mb=MEMORY_MB) as bench:
        yield bench


async def told(tried: Tried) -> Any:
    outcome = (await tried.run()).outcome
    assert isinstance(outcome, Succeeded), outcome
    return json.loads(outcome.payload)


async def answer(bench: Workbench, root: Path, **variables: str) -> Any:
    """Of an environment of its own, which is then ended."""
    tried = bench.make("app.handler", root, variables=variables)
    await tried.environment.start()
    try:
        return await told(tried)
    finally:
        await tried.environment.stop()


async def seen_ahead(bench: Workbench, root: Path, **variables: str) -> Any:
    """Nobody waits for what is learned, but the test."""
    async with asyncio.timeout(60):
        while True:
            seen = await answer(bench, root, **variables)
            if seen["ahead"]:
                return seen


async def seen_once_others_are_ahead(bench: Workbench, root: Path, **variables: str) -> Any:
    """By a function that is learned of before another one, whose imports are kept."""
    await answer(bench, root, **variables)
    await seen_ahead(bench, bench.code(app=USES))
    return await answer(bench, root, **variables)


async def test_later_environments_find_their_imports_done_and_nothing_else_changed(
    bench_of_level: Workbench,
) -> None:
    bench = bench_of_level
    root = bench.code(app=USES)
    first = await answer(bench, root)
    assert first["ahead"] == []

    later = await seen_ahead(bench, root)

    varying = {"uid": 0, "variables": 0, "ahead": 0}
    assert {**later, **varying} == {**first, **varying}
    marks = {"LIGHTSWITCH_ENVIRONMENT", "TMPDIR", "AWS_LAMBDA_RUNTIME_API"}
    assert {k: v for k, v in later["variables"].items() if k not in marks} == {
        k: v for k, v in first["variables"].items() if k not in marks
    }
    assert later["ahead"] == ["boto3", "six"]


async def test_another_function_that_imports_as_much_shares_them(bench: Workbench) -> None:
    await seen_ahead(bench, bench.code(app=USES))
    root = bench.code(app=USES + "\nimport asyncio.subprocess\n")
    await answer(bench, root)

    assert (await answer(bench, root))["ahead"] == ["boto3", "six"]


async def test_a_function_that_imports_less_finds_nothing_that_it_did_not_ask_for(bench: Workbench) -> None:
    root = bench.code(app=LOOK + 'import six\nhandler = lambda event, context: {"ahead": sorted(before)}\n')

    assert (await seen_once_others_are_ahead(bench, root))["ahead"] == []


async def test_who_brings_a_module_of_the_same_name_gets_its_own(bench: Workbench) -> None:
    root = bench.code(app=USES, six=OWN_SIX)

    seen = await seen_once_others_are_ahead(bench, root)

    assert seen["ahead"] == []
    assert seen["six"] == "/var/task/six.py"


async def test_who_finds_one_on_a_path_of_its_own_gets_that(bench: Workbench) -> None:
    vendored = "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'vendor'))\n"
    root = bench.code(app=vendored + USES, vendor__six=OWN_SIX)

    seen = await seen_once_others_are_ahead(bench, root)

    assert seen["ahead"] == []
    assert seen["six"].endswith("/vendor/six.py")


async def test_what_imports_read_of_the_environment_is_the_functions_own(bench: Workbench) -> None:
    root = bench.code(app=USES)

    seen = await seen_once_others_are_ahead(bench, root, HOME="/elsewhere")

    assert seen["ahead"] == []
    assert seen["cache"] == "/elsewhere/.aws/boto/cache"


async def test_modules_of_the_standard_library_are_learned_too(bench: Workbench) -> None:
    assert (await seen_ahead(bench, bench.code(app=STANDARD)))["ahead"] == ["asyncio"]


async def test_no_two_environments_draw_the_same_numbers_or_share_a_key(bench: Workbench) -> None:
    root = bench.code(app=SECRETIVE)
    first, second = await seen_ahead(bench, root), await seen_ahead(bench, root)

    assert len({*first["drawn"], *second["drawn"]}) == len(first["drawn"]) * 2


async def test_a_module_that_leaves_traces_in_its_process_is_never_imported_ahead(bench: Workbench) -> None:
    """rlcompleter holds on to the main module, and a function has one of its own."""
    tracing, plain = (bench.code(app=STANDARD + also) for also in ("import rlcompleter\n", ""))
    await answer(bench, tracing)

    await seen_ahead(bench, plain)

    assert (await answer(bench, tracing))["also"] == ["rlcompleter"]
    sets = bench.sandbox.import_sets
    assert sets
    assert not any("rlcompleter" in each.modules for each in sets)


@pytest.mark.parametrize("names", [["antigravity", "venv.__main__", "../../tmp/x"], ["no_such_module"]])
async def test_a_function_that_lies_gets_nothing_imported(bench: Workbench, names: list[str]) -> None:
    liar = bench.code(app=LIES.format(names=names) + STANDARD)
    await answer(bench, liar)

    await seen_ahead(bench, bench.code(app=STANDARD))

    sets = bench.sandbox.import_sets
    assert sets is not None
    assert [set(names) & set(each.modules) for each in sets] == [set()]


async def test_what_one_function_does_to_its_modules_and_to_others_stays_its_own(bench: Workbench) -> None:
    clean, hostile = bench.code(app=CLEAN), bench.code(app=HOSTILE)
    await seen_ahead(bench, bench.code(app=USES))
    for handler, root in (("app.clean", clean), ("app.poison", hostile)):
        await (await bench.start(handler, root)).environment.stop()
    neighbour = await bench.start("app.clean", clean)
    attacker = await bench.start("app.poison", hostile)
    assert await forked_from(attacker) == await forked_from(neighbour)

    await attacker.run()
    await attacker.environment.stop()

    later = await bench.start("app.clean", clean)
    for tried in (neighbour, later):
        assert await told(tried) == {"ahead": ["boto3", "six"], "poison": False}


async def test_when_the_process_that_imported_dies_functions_start_as_before(
    bench_of_level: Workbench,
) -> None:
    bench = bench_of_level
    root = bench.code(app=USES)
    await seen_ahead(bench, root)
    tried = await bench.start("app.handler", root)
    assert (await told(tried))["ahead"]

    os.kill(await forked_from(tried), signal.SIGKILL)

    async with asyncio.timeout(10):
        await tried.gone.wait()
    assert (await answer(bench, root))["boto3"]
    await seen_ahead(bench, root)


async def test_an_import_that_never_ends_is_given_up_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(import_branches, "IMPORT_SECONDS", 0.5)
    async with workbench_at(Level.L3, tmp_path, imports_mb=MEMORY_MB) as bench:
        (tmp_path / "library" / "current" / "stuck.py").write_text(STUCK)
        assert await answer(bench, bench.code(app="import stuck\ndef handler(event, context): return 1")) == 1

        await until(lambda: "imports_not_kept" in caplog.text, within_seconds=30)


async def test_nothing_of_it_is_left_in_the_end(tmp_path: Path) -> None:
    for level in (Level.L3, Level.L0):
        async with workbench_at(level, tmp_path / str(level), imports_mb=MEMORY_MB) as bench:
            root = bench.code(app=USES)
            await seen_ahead(bench, root)
            tried = await bench.start("app.handler", root)
            pids = [await forked_from(tried), tried.environment.pid]

        assert not any(lives(pid) for pid in pids)


async def test_other_versions_of_python_learn_as_well(bench: Workbench) -> None:
    own = f"python3.{sys.version_info.minor}"
    others = [each for each in bench.sandbox.runtimes() if each.startswith("python") and each != own]
    if not others:
        pytest.skip("no other Python on this machine")
    for runtime in (others[0], others[-1]):
        root, seen = bench.code(app=STANDARD), dict[str, Any]()
        async with asyncio.timeout(60):
            while not seen.get("ahead"):
                tried = bench.make("app.handler", root, runtime=runtime)
                await tried.environment.start()
                seen = await told(tried)
                await tried.environment.stop()


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def forked_from(tried: Tried) -> int:
    """The pid of the parent of an environment's main process."""
    await until(lambda: tried.environment.pid != 0)
    return parent(tried.environment.pid)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
