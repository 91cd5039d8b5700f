"""Settings of kind `schedule`."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from triggers.interface import TriggerSettings
from triggers.schedules.expression import check_exists, parse
from triggers.schedules.missed_ticks import Missed, Timing


class ScheduleSettings(TriggerSettings, frozen=True, kw_only=True):
    """When to call the function, and with what.

    `expression`: `rate(5 minutes)`, `cron(0 10 * * ? *)` or `at(2026-12-24T18:00:00)`; cron and at are local
    times of `timezone` (an IANA name). `input` is the event, any JSON value; without it the function gets
    EventBridge's "Scheduled Event". `missed`: what becomes of ticks that nobody could fire within a minute,
    as far as they lie within `missed_window_seconds`: none fires, one for all, or each.
    """

    expression: str
    timezone: str = "UTC"
    input: Any = msgspec.UNSET
    missed: Missed = "once"
    missed_window_seconds: int = 3600

    def __post_init__(self) -> None:
        check_exists(parse(self.expression), _zone(self.timezone))
        if not 60 <= self.missed_window_seconds <= 86_400:
            raise ValueError(f"missed_window_seconds {self.missed_window_seconds} is not 60-86400")

    def timing(self, made_ms: int) -> Timing:
        """When a schedule that was made at `made_ms` (epoch) fires."""
        window_ms = self.missed_window_seconds * 1000
        return Timing(parse(self.expression), _zone(self.timezone), made_ms, self.missed, window_ms)

    def payload(self) -> bytes | None:
        """The event as JSON; None where it is the Scheduled Event."""
        return None if self.input is msgspec.UNSET else msgspec.json.encode(self.input)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"there is no time zone {name!r}; give an IANA name such as Europe/Berlin"
        ) from error
