"""What calls functions by itself: one record for each mapping, queue, store, topic, schedule or route."""

from __future__ import annotations

from typing import Literal

import msgspec


class TriggerRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One trigger. `settings` is the JSON object of its kind's own struct (`triggers/kinds.py`).

    `generation` is given by the store and counts up over the changes of all triggers. Times are epoch
    milliseconds. An empty `qualifier` is `$LATEST`.
    """

    id: str
    kind: str
    function_name: str
    settings: msgspec.Raw
    qualifier: str = ""
    enabled: bool = True
    generation: int = 0
    created_ms: int = 0
    modified_ms: int = 0


class TriggerStatus(msgspec.Struct, frozen=True):
    """How a trigger fares, as the process that serves it says; lost when the trigger is deleted.

    `last_result` is what its source or function said last (a mapping's LastProcessingResult).
    """

    state: Literal["", "running", "failing"] = ""
    last_result: str = ""
    changed_ms: int = 0


class Changes(msgspec.Struct, frozen=True):
    """What happened to triggers since a generation.

    `whole`: `records` are all that there are, and nothing else exists; else only those that changed.
    """

    generation: int
    records: tuple[TriggerRecord, ...] = ()
    deleted: tuple[str, ...] = ()
    whole: bool = False
