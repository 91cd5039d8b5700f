"""Runtimes with AWS's own clients, for systems that run: installed once in a cache, and added from there."""

from __future__ import annotations

import time

from deploy.credentials import Credentials
from deploy.endpoint import Endpoint
from tests.acceptance.download_cache import filling_cache
from tests.live_system import LiveSystem
from worker.runtimes.official.table import install

OFFERED_WITHIN_SECONDS = 30.0


def add_runtime(system: LiveSystem, runtime: str) -> None:
    """Returns when its workers offer it, which notice by themselves. Takes minutes where the cache lacks it.

    Nothing happens where it was added before. Raises CannotInstall.
    """
    entry = system.data_dir / "runtimes" / runtime
    if entry.exists():
        return
    with filling_cache("runtimes", "node") as cache:
        client = install(runtime, cache)
    entry.parent.mkdir(exist_ok=True)
    entry.symlink_to(client)
    deadline = time.monotonic() + OFFERED_WITHIN_SECONDS
    while not _is_offered(system, runtime):
        if time.monotonic() > deadline:
            raise AssertionError(f"the workers do not offer {runtime} after {OFFERED_WITHIN_SECONDS:g} s")
        time.sleep(0.1)


def _is_offered(system: LiveSystem, runtime: str) -> bool:
    keys = Credentials(system.endpoint.access_key, system.endpoint.secret_key)
    workers = Endpoint(system.url, system.endpoint.region, keys).workers()
    return all(runtime in worker.runtimes for worker in workers)
