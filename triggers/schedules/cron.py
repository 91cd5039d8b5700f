"""An AWS cron expression as the instants that it means in a time zone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from triggers.schedules.cron_fields import HOURS, MINUTES, MONTH, YEAR, MonthDays, WeekDays

_LARGEST_SHIFT = timedelta(hours=26)
"""More than any zone's clocks were ever put back or forward at once."""


@dataclass(frozen=True, slots=True)
class Cron:
    """`cron(minutes hours day-of-month month day-of-week year)`."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: MonthDays | WeekDays
    months: frozenset[int]
    years: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Read the six fields. Raises ValueError, saying which field is wrong."""
        fields = text.split()
        if len(fields) != 6:
            raise ValueError(
                f"cron({text}) has {len(fields)} fields, not 6:"
                " minutes hours day-of-month month day-of-week year"
            )
        minutes, hours, month_days, months, week_days, years = fields
        return cls(
            MINUTES.values(minutes),
            HOURS.values(hours),
            _days(month_days, week_days),
            MONTH.values(months),
            YEAR.values(years),
        )

    def after(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """The first instant after `moment` (aware), in UTC; None where there is none before the year 2200.

        As EventBridge Scheduler does it: a local time that the clocks skip does not fire, and one that they
        show twice fires the first time only.
        """
        # Local times near a change of the clocks are not in the order of their instants.
        begin = moment.astimezone(zone).replace(tzinfo=None) - _LARGEST_SHIFT
        for local in self._local_times(begin):
            instant = local.replace(tzinfo=zone).astimezone(UTC)
            if instant > moment and instant.astimezone(zone).replace(tzinfo=None) == local:
                return instant
        return None

    def _local_times(self, begin: datetime) -> Iterator[datetime]:
        """All local times that are meant, from `begin` on."""
        for day in self._dates(begin):
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    local = day.replace(hour=hour, minute=minute)
                    if local >= begin:
                        yield local

    def _dates(self, begin: datetime) -> Iterator[datetime]:
        for year in sorted(year for year in self.years if year >= begin.year):
            for month in sorted(self.months):
                if (year, month) >= (begin.year, begin.month):
                    for day in sorted(self.days.of(year, month)):
                        if (year, month, day) >= (begin.year, begin.month, begin.day):
                            yield datetime(year, month, day)


def _days(month_days: str, week_days: str) -> MonthDays | WeekDays:
    if (month_days == "?") == (week_days == "?"):
        raise ValueError(
            f"exactly one of day-of-month {month_days!r} and day-of-week {week_days!r} must be '?'"
        )
    return WeekDays.parse(week_days) if month_days == "?" else MonthDays.parse(month_days)
