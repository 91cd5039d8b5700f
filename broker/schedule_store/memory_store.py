"""The schedule store in memory: the plainest reading of the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from broker.schedule_store.interface import Look, Registration, Tick


class MemoryScheduleStore:
    """Implements `ScheduleStore`; processes share it by sharing the object."""

    def __init__(self) -> None:
        self._generations: dict[str, int] = {}
        self._ticks: dict[str, int] = {}
        self._look_at: dict[str, int] = {}

    async def start(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def register(self, registrations: Sequence[Registration]) -> None:
        for one in registrations:
            if self._generations.get(one.schedule_id, -1) < one.generation:
                self._generations[one.schedule_id] = one.generation
                self._set(one.schedule_id, one.next_ms)

    async def forget(self, generations: Mapping[str, int]) -> None:
        for schedule_id, generation in generations.items():
            if self._generations.get(schedule_id, generation + 1) <= generation:
                del self._generations[schedule_id]
                self._set(schedule_id, None)

    async def registered(self) -> Mapping[str, int]:
        return dict(self._generations)

    async def claim(self, now_ms: int, claim_ms: int, most: int) -> Look:
        due = sorted((at, id_) for id_, at in self._look_at.items() if at <= now_ms)[:most]
        for _, id_ in due:
            self._look_at[id_] = now_ms + claim_ms
        claimed = tuple(Tick(id_, self._ticks[id_]) for _, id_ in due)
        return Look(claimed, min(self._look_at.values(), default=None))

    async def advance(self, ticks: Mapping[Tick, int | None]) -> None:
        for tick, next_ms in ticks.items():
            if self._ticks.get(tick.schedule_id) == tick.tick_ms:
                self._set(tick.schedule_id, next_ms)

    def _set(self, schedule_id: str, next_ms: int | None) -> None:
        for times in (self._ticks, self._look_at):
            if next_ms is None:
                times.pop(schedule_id, None)
            else:
                times[schedule_id] = next_ms
