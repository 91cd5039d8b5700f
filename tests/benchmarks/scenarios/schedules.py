"""What ten thousand schedules cost that do not fire: the CPU of everything, with them and without."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import psutil

from broker.invocation import now_ms
from broker.schedule_store.redis_store import RedisScheduleStore
from broker.trigger_store.model import TriggerRecord
from broker.trigger_store.redis_store import RedisTriggerStore
from tests.benchmarks.contestants import Contestants
from tests.benchmarks.effort import Effort
from tests.benchmarks.findings import Findings
from tests.live_system import LiveSystem, Role
from triggers.kinds import read_settings

SCHEDULES = 10_000
PROMISE_PERCENT = 1.0
_ROLES: tuple[Role, ...] = ("triggers", "gateway", "worker", "redis")
_PATIENCE_SECONDS = 120.0


def measure(contestants: Contestants, effort: Effort) -> Findings:
    """Idle, then idle with the schedules."""
    findings = Findings("schedules that wait")
    live = contestants.start_fresh("schedules").live
    seconds = effort.seconds * 10
    without = _cpu_percent(live, seconds)
    took_seconds = asyncio.run(_add(live.redis_socket))
    with_them = _cpu_percent(live, seconds)
    for name, percents in (("no schedule", without), (f"{SCHEDULES:,} schedules", with_them)):
        shown = {f"{role}_cpu_percent": round(percent, 2) for role, percent in percents.items()}
        findings.add(name, **shown, cpu_percent=round(sum(percents.values()), 2))
    findings.notes.append(f"adding and registering them took {took_seconds:.1f} s")
    cost = sum(with_them.values()) - sum(without.values())
    findings.promise("10,000 idle schedules, of one core", cost, "at most", PROMISE_PERCENT, "%")
    return findings


def _cpu_percent(live: LiveSystem, seconds: float) -> dict[Role, float]:
    """CPU of each role's processes in percent of a core, over a while in which nothing is asked of them."""
    time.sleep(3.0)
    started, before = time.monotonic(), {role: _cpu_seconds(live, role) for role in _ROLES}
    time.sleep(seconds)
    elapsed = time.monotonic() - started
    return {role: (_cpu_seconds(live, role) - before[role]) * 100 / elapsed for role in _ROLES}


def _cpu_seconds(live: LiveSystem, role: Role) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in live.pids(role)]
    return float(sum(one.user + one.system for one in times))


async def _add(redis_socket: Path) -> float:
    """Add them where the gateway would; how long until all are registered."""
    url, started = f"unix://{redis_socket}", time.monotonic()
    triggers, schedules = RedisTriggerStore(url), RedisScheduleStore(url)
    now = now_ms()
    for first in range(0, SCHEDULES, 100):
        await asyncio.gather(*(triggers.create(_schedule(n, now)) for n in range(first, first + 100)))
    while len(await schedules.registered()) < SCHEDULES:
        if time.monotonic() - started > _PATIENCE_SECONDS:
            raise RuntimeError("the schedules were not registered in time")
        await asyncio.sleep(0.2)
    await triggers.close()
    await schedules.close()
    return time.monotonic() - started


def _schedule(number: int, now: int) -> TriggerRecord:
    """All kinds of expressions, none of which fires today."""
    expressions = ("rate(7 days)", "cron(0 12 ? 1 MON#2 2190-2199)", "at(2198-01-01T00:00:00)")
    text = f'{{"expression":"{expressions[number % 3]}","timezone":"Europe/Berlin"}}'
    read_settings("schedule", text.encode())
    return TriggerRecord(
        f"bench-{number}", "schedule", "nobody", msgspec.Raw(text.encode()), created_ms=now, modified_ms=now
    )
