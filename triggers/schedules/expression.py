"""Schedule expressions: `rate(5 minutes)`, `cron(0 10 * * ? *)`, `at(2026-12-24T18:00:00)`.

Sources: Amazon EventBridge user guide ("Rate expressions", "Cron expressions reference"), EventBridge
Scheduler user guide ("Schedule types"). Instants are epoch milliseconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_never
from zoneinfo import ZoneInfo

from triggers.schedules.cron import Cron

_FORM = re.compile(r"(rate|cron|at)\((.*)\)")
_RATE = re.compile(r"(\d{1,9}) (minute|minutes|hour|hours|day|days)")
_UNIT_MS = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


@dataclass(frozen=True, slots=True)
class Rate:
    """Every so often, counted from when the schedule was made."""

    period_ms: int


@dataclass(frozen=True, slots=True)
class At:
    """Once, at a local time."""

    local: datetime


Expression = Rate | Cron | At


def parse(text: str) -> Expression:
    """Read an expression. Raises ValueError, saying what is wrong."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is no schedule: give rate(5 minutes), cron(0 10 * * ? *) or at(2026-12-24T18:00:00)"
        )
    form, inside = match[1], match[2].strip()
    if form == "rate":
        return _rate(inside)
    return Cron.parse(inside) if form == "cron" else _at(inside)


def next_fire(expression: Expression, zone: ZoneInfo, after_ms: int, made_ms: int) -> int | None:
    """The first instant after `after_ms` at which the schedule fires; None where there is none.

    `made_ms`: when the schedule was made; a rate fires one period after it for the first time, as on AWS.
    """
    match expression:
        case Rate(period_ms):
            return made_ms + max(1, (after_ms - made_ms) // period_ms + 1) * period_ms
        case Cron():
            instant = expression.after(datetime.fromtimestamp(after_ms / 1000, UTC), zone)
            return None if instant is None else _ms(instant)
        case At(local):
            fires_ms = _ms(local.replace(tzinfo=zone))
            return fires_ms if fires_ms > after_ms else None
    assert_never(expression)


def check_exists(expression: Expression, zone: ZoneInfo) -> None:
    """Raises ValueError for a single local time that the clocks of the zone skip: it would never come."""
    if isinstance(expression, At):
        local = expression.local
        if local.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
            raise ValueError(f"at({local.isoformat()}): the clocks of {zone.key} skip that time")


def _rate(text: str) -> Rate:
    match = _RATE.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError(f"rate({text}) is not a number above 0 and minute(s), hour(s) or day(s)")
    number, unit = int(match[1]), match[2].removesuffix("s")
    if (number == 1) != (match[2] == unit):
        right = unit if number == 1 else f"{unit}s"
        raise ValueError(f"rate({text}): as on AWS it must be rate({number} {right})")
    return Rate(number * _UNIT_MS[unit])


def _at(text: str) -> At:
    if not _AT.fullmatch(text):
        raise ValueError(f"at({text}) is not at(yyyy-mm-ddThh:mm:ss)")
    try:
        return At(datetime.fromisoformat(text))
    except ValueError as error:
        raise ValueError(f"at({text}): {error}") from error


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
