"""The fields of an AWS cron expression: `minutes hours day-of-month month day-of-week year`.

Source: Amazon EventBridge user guide, "Cron expressions reference". Days of the week count from 1 (Sunday).
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

_MONTHS = {
    name: number
    for number, name in enumerate(
        ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"], start=1
    )
}
_DAYS = {
    name: number for number, name in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"], start=1)
}
_NO_NAMES: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Field:
    """What one field may hold."""

    label: str
    lowest: int
    highest: int
    names: Mapping[str, int]

    def values(self, text: str) -> frozenset[int]:
        """All values of a list such as `1,5-9,*/10`. Raises ValueError."""
        return frozenset(value for part in text.split(",") for value in self._part(text, part))

    def value(self, text: str, part: str) -> int:
        """One number or name. Raises ValueError."""
        number = self.names.get(part.upper())
        if number is None and part.isascii() and part.isdigit():
            number = int(part)
        if number is None or not self.lowest <= number <= self.highest:
            raise ValueError(
                f"{part!r} in the {self.label} field {text!r} is not"
                f" {self.lowest}-{self.highest}{self._named()}"
            )
        return number

    def _part(self, text: str, part: str) -> Iterable[int]:
        span, slash, step_text = part.partition("/")
        step = self._step(text, step_text) if slash else 1
        if span == "*":
            return range(self.lowest, self.highest + 1, step)
        first_text, dash, last_text = span.partition("-")
        first = self.value(text, first_text)
        last = self.value(text, last_text) if dash else self.highest if slash else first
        if last >= first:
            return range(first, last + 1, step)
        if self.label == "year":
            raise ValueError(f"the range {span!r} in the {self.label} field {text!r} ends before it begins")
        size = self.highest - self.lowest + 1  # hours of 20-2 begin in the evening and end in the night
        return (self.lowest + (value - self.lowest) % size for value in range(first, last + size + 1, step))

    def _step(self, text: str, step_text: str) -> int:
        if not (step_text.isascii() and step_text.isdigit() and int(step_text) > 0):
            raise ValueError(
                f"the step {step_text!r} in the {self.label} field {text!r} is no number above 0"
            )
        return int(step_text)

    def _named(self) -> str:
        return f" or {next(iter(self.names))}-{list(self.names)[-1]}" if self.names else ""


MINUTES = Field("minutes", 0, 59, _NO_NAMES)
HOURS = Field("hours", 0, 23, _NO_NAMES)
DAY_OF_MONTH = Field("day-of-month", 1, 31, _NO_NAMES)
MONTH = Field("month", 1, 12, _MONTHS)
DAY_OF_WEEK = Field("day-of-week", 1, 7, _DAYS)
YEAR = Field("year", 1970, 2199, _NO_NAMES)


@dataclass(frozen=True, slots=True)
class MonthDays:
    """A day-of-month field: days, the last one (`L`), and the weekdays nearest to some (`15W`, `LW`)."""

    days: frozenset[int]
    last: bool = False
    nearest_weekdays: frozenset[int] = frozenset()
    last_weekday: bool = False

    @classmethod
    def parse(cls, text: str) -> MonthDays:
        """Raises ValueError."""
        parts = text.upper().split(",")
        near = [part for part in parts if part.endswith("W") and part != "LW"]
        plain = [part for part in parts if part not in ("L", "LW") and part not in near]
        return cls(
            DAY_OF_MONTH.values(",".join(plain)) if plain else frozenset(),
            "L" in parts,
            frozenset(DAY_OF_MONTH.value(text, part[:-1]) for part in near),
            "LW" in parts,
        )

    def of(self, year: int, month: int) -> frozenset[int]:
        """The days of that month that are meant."""
        length = monthrange(year, month)[1]
        found = {day for day in self.days if day <= length}
        found |= {_nearest_weekday(year, month, day) for day in self.nearest_weekdays if day <= length}
        if self.last:
            found.add(length)
        if self.last_weekday:
            found.add(_nearest_weekday(year, month, length))
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class WeekDays:
    """A day-of-week field: days, the last of some (`5L`), or one day's n-th in the month (`3#2`)."""

    days: frozenset[int]
    last_of: frozenset[int] = frozenset()
    nth: tuple[int, int] | None = None

    @classmethod
    def parse(cls, text: str) -> WeekDays:
        """Raises ValueError."""
        if "/" in text:
            raise ValueError(f"the day-of-week field {text!r} cannot have steps")
        if "#" in text:
            return cls(frozenset(), nth=_nth(text))
        parts = text.upper().split(",")
        last = [part for part in parts if part.endswith("L") and part != "L"]
        plain = [part.replace("L", "7") if part == "L" else part for part in parts if part not in last]
        return cls(
            DAY_OF_WEEK.values(",".join(plain)) if plain else frozenset(),
            frozenset(DAY_OF_WEEK.value(text, part[:-1]) for part in last),
        )

    def of(self, year: int, month: int) -> frozenset[int]:
        """The days of that month that are meant."""
        length = monthrange(year, month)[1]
        return frozenset(
            day for day in range(1, length + 1) if self._means(_week_day(year, month, day), day, length)
        )

    def _means(self, week_day: int, day: int, length: int) -> bool:
        if self.nth is not None:
            return self.nth == (week_day, (day + 6) // 7)
        return week_day in self.days or (week_day in self.last_of and day + 7 > length)


def _nth(text: str) -> tuple[int, int]:
    day, _, number = text.partition("#")
    if number not in ("1", "2", "3", "4", "5"):
        raise ValueError(f"the day-of-week field {text!r} must be one day, '#', and 1-5")
    return DAY_OF_WEEK.value(text, day), int(number)


def _nearest_weekday(year: int, month: int, day: int) -> int:
    """Monday to Friday, in the same month."""
    length, week_day = monthrange(year, month)[1], _week_day(year, month, day)
    if week_day == 7:
        return day - 1 if day > 1 else day + 2
    if week_day == 1:
        return day + 1 if day < length else day - 2
    return day


def _week_day(year: int, month: int, day: int) -> int:
    return date(year, month, day).isoweekday() % 7 + 1
