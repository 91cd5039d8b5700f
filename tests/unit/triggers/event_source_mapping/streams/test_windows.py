"""Tumbling windows are aligned to the epoch and follow each other without overlap."""

from __future__ import annotations

import msgspec

from tests.unit.triggers.event_source_mapping.streams.records import record
from triggers.event_source_mapping.streams.windows import MOST_STATE_BYTES, OpenWindow, leading, window_at
from triggers.events.dynamodb import Window


def test_a_moment_has_one_window() -> None:
    assert window_at(119.9, 60) == Window(60, 120)
    assert window_at(120, 60) == Window(120, 180)


def test_records_up_to_the_windows_end_belong_to_it_and_late_ones_too() -> None:
    records = [record(1, created_seconds=130), record(2, created_seconds=90), record(3, created_seconds=180)]
    assert leading(records, Window(120, 180)) == 2


def test_a_state_has_a_greatest_size() -> None:
    window = Window(0, 60)
    assert not OpenWindow(window).is_oversized
    assert OpenWindow(window, msgspec.Raw(b'"' + b"x" * MOST_STATE_BYTES + b'"')).is_oversized
