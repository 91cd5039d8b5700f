"""Readiness follows the broker's answers."""

from __future__ import annotations

from broker.memory import MemoryBroker
from gateway.readiness import READY_SECONDS, Readiness


async def test_a_gateway_is_ready_while_the_broker_answered_lately() -> None:
    now = [100.0]
    broker = MemoryBroker()
    await broker.start()
    readiness = Readiness(broker, clock=lambda: now[0])
    assert (readiness.ready, readiness.age_seconds) == (False, None)
    await readiness.start()
    assert (readiness.ready, readiness.age_seconds) == (True, 0.0)
    now[0] += READY_SECONDS + 0.1
    assert not readiness.ready
    await readiness.stop()
    await readiness.stop()
    await broker.close()


async def test_a_draining_gateway_is_not_ready() -> None:
    broker = MemoryBroker()
    await broker.start()
    readiness = Readiness(broker)
    await readiness.start()
    readiness.draining = True
    assert not readiness.ready
    await readiness.stop()
    await broker.close()
