"""What a schedule may be told."""

from __future__ import annotations

import msgspec
import pytest

from triggers.kinds import read_settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"expression": "rate(5 seconds)"}, r"rate\(5 seconds\)"),
        ({"expression": "rate(1 day)", "timezone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
        ({"expression": "rate(1 day)", "timezone": "../etc/passwd"}, "no time zone"),
        ({"expression": "at(2026-03-29T02:30:00)", "timezone": "Europe/Berlin"}, "skip that time"),
        ({"expression": "rate(1 day)", "missed": "some"}, "missed"),
        ({"expression": "rate(1 day)", "missed_window_seconds": 59}, "60-86400"),
        ({"expression": "rate(1 day)", "timezon": "UTC"}, "timezon"),
        ({}, "expression"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_settings("schedule", msgspec.json.encode(settings))


def test_settings_are_stored_as_they_were_given() -> None:
    given = (
        b'{"expression":"rate(1 day)","timezone":"UTC","input":{"a":1},"missed":"all",'
        b'"missed_window_seconds":60}'
    )
    assert msgspec.json.decode(msgspec.json.encode(read_settings("schedule", given))) == msgspec.json.decode(
        given
    )
    bare = msgspec.json.decode(
        msgspec.json.encode(read_settings("schedule", b'{"expression":"rate(1 day)"}'))
    )
    assert "input" not in bare
