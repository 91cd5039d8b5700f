"""On what the figures were measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil
import redis

PACKAGES = (
    "lightswitch",
    "celery",
    "dramatiq",
    "kombu",
    "redis",
    "hiredis",
    "uvicorn",
    "uvloop",
    "awslambdaric",
)


def facts(redis_socket: Path) -> dict[str, object]:
    """Cores, memory, kernel, versions; load average as it was before the run."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "redis_server": _redis_version(redis_socket),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "revision": _revision(),
        "load_average": os.getloadavg()[0],
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _redis_version(socket: Path) -> str:
    server = redis.Redis(unix_socket_path=str(socket))
    try:
        return str(dict(server.info("server"))["redis_version"])
    finally:
        server.close()


def _revision() -> str:
    """The commit that was measured; empty outside a checkout."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    return found.stdout.strip()
