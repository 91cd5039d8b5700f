"""Does a system run on this data directory, and how is it?"""

from __future__ import annotations

import stat
from collections.abc import Iterator

from broker.settings import Settings
from deploy.credentials import Credentials, find_credentials
from deploy.data_dir import DataDir, RunningSystem
from deploy.doctor.finding import Finding, fail, ok, warn
from deploy.endpoint import Endpoint
from deploy.errors import DeployError
from deploy.ports import free_port


def check_system(settings: Settings, port: int) -> Iterator[Finding]:
    """Credentials, and the running system or the port where one would listen."""
    data_dir = DataDir(settings.data_dir)
    try:
        keys = find_credentials(data_dir)
    except DeployError as error:
        yield fail("credentials", str(error), "remove the file; `lightswitch up` makes new ones")
        return
    yield check_credentials(data_dir, keys)
    system = data_dir.running()
    if system is None or keys is None:
        yield warn("system", f"none runs on {data_dir.path}", "start one: lightswitch up")
        yield check_port(port)
    else:
        yield from check_running(system, Endpoint(system.endpoint_url, settings.region, keys, 5.0))


def check_credentials(data_dir: DataDir, keys: Credentials | None) -> Finding:
    """They exist, and nobody else can read them."""
    if keys is None:
        return ok("credentials", "none yet; `lightswitch up` makes them")
    file = data_dir.credentials_file
    mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0o600
    if mode & 0o077:
        return fail("credentials", f"{file} has mode {mode:o}: others can read it", f"chmod 600 {file}")
    return ok("credentials", f"access key {keys.access_key_id}")


def check_port(port: int) -> Finding:
    """The gateway's port is free."""
    try:
        free_port("127.0.0.1", port)
    except DeployError as error:
        return warn("port", str(error), "lightswitch up --port ...")
    return ok("port", f"{port} is free")


def check_running(system: RunningSystem, endpoint: Endpoint) -> Iterator[Finding]:
    """The gateway can serve, and workers have registered."""
    where = f"{system.endpoint_url} (pid {system.pid})"
    logs = f"see the logs that `lightswitch up` (pid {system.pid}) writes"
    if not endpoint.is_ready():
        yield fail("system", f"{where} is not ready", logs)
        return
    yield ok("system", f"ready at {where}")
    try:
        alive = [worker for worker in endpoint.workers() if worker.alive]
    except DeployError as error:
        yield fail("workers", str(error), logs)
        return
    if not alive:
        yield fail("workers", "none is registered", logs)
    else:
        running = sum(worker.running for worker in alive)
        capacity = sum(worker.capacity for worker in alive)
        yield ok("workers", f"{len(alive)} alive, running {running} of at most {capacity} invocations")
