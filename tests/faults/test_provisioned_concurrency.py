"""kill -9 of a worker that holds provisioned environments."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import redis

from broker.provisioning.redis_store import RedisProvisioningStore
from tests.deployment_packages import package
from tests.faults.callers import Callers
from tests.faults.conftest import StartSystem, kill
from tests.faults.waiting import eventually
from tests.live_system import LiveSystem

FUNCTION = "provisioned"
COUNT = 4
READY_WITHIN_SECONDS = 10
CODE = b"""
import os, time

def handler(event, context):
    time.sleep(event["seconds"])
    return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
"""


def config(system: LiveSystem) -> dict[str, Any]:
    found: dict[str, Any] = system.client.get_provisioned_concurrency_config(
        FunctionName=FUNCTION, Qualifier="1"
    )
    return found


def is_ready(system: LiveSystem) -> bool:
    return bool(config(system)["Status"] == "READY")


def held(system: LiveSystem) -> dict[str, int]:
    """Initialised environments by worker, as the workers say."""

    async def ask() -> dict[str, int]:
        store = RedisProvisioningStore(f"unix://{system.redis_socket}")
        said = await store.announcements()
        await store.close()
        return {one.worker: sum(holding.initialised for holding in one.holdings) for one in said}

    return asyncio.run(ask())


def offered(system: LiveSystem) -> dict[str, int]:
    """What each worker offers to calls: its environments, but for those that it is about to give up."""
    server = redis.Redis(unix_socket_path=str(system.redis_socket), decode_responses=True)
    found: dict[str, int] = {}
    for key in server.scan_iter(f"*:offers:{FUNCTION}:1"):
        offers: Any = server.zrange(key, 0, -1, withscores=True)
        found |= {epoch: int(count) for epoch, count in offers}
    server.close()
    return found


def test_what_a_killed_worker_held_is_initialised_elsewhere(
    start_system: StartSystem, report: Callable[..., None]
) -> None:
    system = start_system("--workers", "2")
    system.deploy(FUNCTION, package({"app.py": CODE}))
    system.client.publish_version(FunctionName=FUNCTION)
    system.client.put_provisioned_concurrency_config(
        FunctionName=FUNCTION, Qualifier="1", ProvisionedConcurrentExecutions=COUNT
    )
    eventually("an even share", lambda: sorted(held(system).values()) == [COUNT // 2, COUNT // 2], 20)
    before = held(system)

    kill(system.pids("worker")[0])
    killed_at = time.monotonic()

    def recovered() -> bool:
        now = held(system)
        return len(now.keys() & before.keys()) == 1 and sum(now.values()) == COUNT and is_ready(system)

    eventually("READY without the killed worker", recovered, READY_WITHIN_SECONDS)
    recovered_seconds = time.monotonic() - killed_at

    def settled() -> bool:
        now = offered(system)
        return recovered() and sum(now.get(worker, 0) for worker in held(system)) == COUNT

    eventually("offers of all that is provisioned", settled, READY_WITHIN_SECONDS)

    callers = Callers(system)
    waiting = [callers.call({"seconds": 0.5}, function=f"{FUNCTION}:1") for _ in range(COUNT)]
    assert [call.result().result for call in waiting] == ["provisioned-concurrency"] * COUNT
    callers.close()
    report(recovered_seconds=round(recovered_seconds, 1))
