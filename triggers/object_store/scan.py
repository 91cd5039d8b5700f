"""One pass over a bucket: list it page by page, compare, leave events for what is new, write it down.

Listing and memory are both in the order of keys, so a pass holds one page of each, whatever the bucket's
size. Each stretch is written down before the next one begins, and where the pass has come to, so that
another process can go on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from broker.object_states.interface import ObjectStates, Stretch
from broker.object_states.model import ObjectState
from triggers.events.s3 import Source, notification
from triggers.interface import LeaseGone, RunningTrigger
from triggers.object_store.comparison import MOST_CHANGES, Difference, differences
from triggers.object_store.filters import wants_another, wants_event, wants_key
from triggers.object_store.intake import LOCK_SECONDS
from triggers.object_store.listing import Listing, Page
from triggers.object_store.settings import ObjectStoreSettings
from triggers.object_store.sightings import LATE_MS

CHECKPOINT = "scan"
_AT_ONCE = 32


class Progress(msgspec.Struct, frozen=True):
    """The checkpoint. `place` is what it is about; `position` the key that the pass has come to; `settled`:
    a whole pass has been made, so that what is new since is new."""

    place: str
    position: str = ""
    settled: bool = False
    sent: int = 0
    """Events left in this pass."""


class Scan:
    """Passes over one trigger's bucket."""

    def __init__(
        self, trigger: RunningTrigger, settings: ObjectStoreSettings, states: ObjectStates, listing: Listing
    ) -> None:
        self._trigger = trigger
        self._settings = settings
        self._states = states
        self._listing = listing

    async def run(self) -> int:
        """One pass, from where the last one stopped, to the end; how many events it left.

        Raises ListingFailed, LeaseGone, BrokerError.
        """
        progress = await self._progress()
        while True:
            listed_ms = await self._states.now_ms()
            page = await self._listing.page(progress.position)
            position: str | None = progress.position
            while position is not None:
                position, sent = await self._step(progress, page, listed_ms)
                progress = replace(progress, position=position or "", sent=progress.sent + sent)
                if position is None:
                    break
                await self._save(progress)
                if page.more and position >= page.objects[-1].key:
                    break
            if position is None:
                await self._save(Progress(self._settings.place, settled=True))
                return progress.sent

    async def _step(self, progress: Progress, page: Page, listed_ms: int) -> tuple[str | None, int]:
        """Deal with the next stretch of a page: where it ended (None: the bucket's end), events left."""
        end = page.objects[-1].key if page.more else None
        stretch = await self._states.read(self._trigger.record.id, progress.position, end)
        listed = [item for item in page.objects if _within(stretch, item.key) and self._wants(item.key)]
        all_found = differences(listed, stretch.states, listed_ms, page.store_ms)
        found = [one for one in all_found if not self._is_unclear(one)]
        loud = [one for one in found if self._is_loud(one, stretch, progress, page)]
        if len(loud) > MOST_CHANGES:
            stretch = _cut(stretch, loud[MOST_CHANGES - 1].change.key)
            found = [one for one in found if _within(stretch, one.change.key)]
            loud = loud[:MOST_CHANGES]
        sent = await self._settle(stretch, found, loud, listed_ms)
        return stretch.upto, sent

    async def _settle(
        self, stretch: Stretch, found: Sequence[Difference], loud: Sequence[Difference], listed_ms: int
    ) -> int:
        """Leave the events, write down what is known now. What could not be sent is raised after that."""
        keys = [one.change.key for one in loud]
        locked = await self._states.lock(self._trigger.record.id, keys, LOCK_SECONDS) if keys else frozenset()
        try:
            fresh = await self._fresh([one for one in loud if one.change.key in locked], listed_ms)
            failures = await self._send_all(fresh)
            left = {key for key in keys if key not in locked} | failures.keys()
            await self._write(stretch, [one for one in found if one.change.key not in left], listed_ms)
        finally:
            await asyncio.shield(self._states.unlock(self._trigger.record.id, sorted(locked)))
        for error in failures.values():
            raise error
        return len(fresh)

    async def _fresh(self, loud: Sequence[Difference], listed_ms: int) -> list[Difference]:
        """Those that no webhook was quicker with."""
        noted = await self._states.notes(self._trigger.record.id, [one.change.key for one in loud])
        quicker = {key for key, note in noted.items() if note.noted_ms >= listed_ms}
        return [one for one in loud if one.change.key not in quicker]

    async def _send_all(self, fresh: Sequence[Difference]) -> dict[str, Exception]:
        """Leave an event for each; what failed, by key."""
        gate = asyncio.Semaphore(_AT_ONCE)
        failures: dict[str, Exception] = {}

        async def send(one: Difference) -> None:
            async with gate:
                try:
                    await self._trigger.caller.send(self._trigger.target, self._event(one))
                except Exception as error:  # told to the caller, after the others have been written down
                    failures[one.change.key] = error

        async with asyncio.TaskGroup() as group:
            for one in fresh:
                group.create_task(send(one))
        return failures

    def _event(self, one: Difference) -> bytes:
        region = self._trigger.settings.region
        return notification(one.change, Source(self._settings.bucket, region, self._trigger.record.id))

    async def _write(self, stretch: Stretch, changed: Sequence[Difference], listed_ms: int) -> None:
        """Fold the changes, and the notes that are old enough, into the stretch's page."""
        states = dict(stretch.states)
        notes: dict[str, ObjectState | None] = {}
        for one in changed:
            key, removed = one.change.key, not one.state.present
            states[key] = one.state
            if removed or key in stretch.notes:
                notes[key] = replace(one.state, noted_ms=listed_ms)
        for key in stretch.notes.keys() - notes.keys():
            if states[key].noted_ms < listed_ms - LATE_MS:
                notes[key] = None
        if not changed and not notes and len(stretch.pages) < 3:
            return
        kept = {key: state for key, state in sorted(states.items()) if state.present}
        owner, trigger_id = self._trigger.owner, self._trigger.record.id
        if not await self._states.replace(owner, trigger_id, stretch, kept, notes):
            raise LeaseGone(f"trigger {trigger_id} is served by another process")

    def _is_loud(self, one: Difference, stretch: Stretch, progress: Progress, page: Page) -> bool:
        """Whether the function hears of it: not, in the first pass, of what was there before the trigger."""
        if not wants_event(self._settings.events, one.change.event_name):
            return False
        if progress.settled or self._settings.existing_objects or one.change.key in stretch.states:
            return True
        return _end_of_second(one.change.time_ms) >= self._trigger.record.created_ms

    def _is_unclear(self, one: Difference) -> bool:
        """A scan cannot tell a copy from a put: where only one of them is wanted, the store has to say."""
        events, change = self._settings.events, one.change
        return wants_another(events, change.created) and not wants_event(events, change.event_name)

    def _wants(self, key: str) -> bool:
        return wants_key(self._settings.prefix, self._settings.suffix, key)

    async def _progress(self) -> Progress:
        """Where the last pass stopped; a fresh start where the trigger now looks elsewhere."""
        saved = (await self._trigger.checkpoints()).get(CHECKPOINT)
        if saved is not None:
            progress = msgspec.json.decode(saved, type=Progress)
            if progress.place == self._settings.place:
                return progress
            await self._states.forget(self._trigger.record.id)
        return Progress(self._settings.place)

    async def _save(self, progress: Progress) -> None:
        await self._trigger.save_checkpoints({CHECKPOINT: msgspec.json.encode(progress)})


def _end_of_second(time_ms: int) -> int:
    """Many stores tell whole seconds, rounded down."""
    return time_ms + 999 if time_ms % 1000 == 0 else time_ms


def _within(stretch: Stretch, key: str) -> bool:
    return key > stretch.after and (stretch.upto is None or key <= stretch.upto)


def _cut(stretch: Stretch, upto: str) -> Stretch:
    """The first part of a stretch; what is known beyond goes to the rest."""
    beyond = {k: s for k, s in stretch.states.items() if k > upto and k not in stretch.notes}
    return Stretch(
        stretch.after,
        upto,
        {k: s for k, s in stretch.states.items() if k <= upto},
        stretch.pages,
        stretch.before,
        {**beyond, **stretch.rest},
        {k: note for k, note in stretch.notes.items() if k <= upto},
    )
