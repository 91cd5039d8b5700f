"""A checkpoint never passes a record that is not done."""

from __future__ import annotations

from triggers.event_source_mapping.streams.progress import Progress


def begun(*sequence_numbers: str) -> Progress:
    progress = Progress("0")
    for sequence_number in sequence_numbers:
        progress.begin(sequence_number)
    return progress


def test_the_position_moves_over_what_is_done_without_gaps() -> None:
    progress = begun("1", "2", "3")

    assert not progress.done(["2"])
    assert progress.position == "0"
    assert progress.done(["1"])
    assert progress.position == "2"
    assert progress.done(["3"])
    assert (progress.position, progress.outstanding) == ("3", 0)
