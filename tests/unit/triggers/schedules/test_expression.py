"""Schedule expressions: AWS's documented examples, and all others against counting minute by minute."""

from __future__ import annotations

import random
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from triggers.schedules.cron import Cron
from triggers.schedules.expression import At, Rate, check_exists, next_fire, parse

UTC_ZONE, BERLIN, NEW_YORK = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def fires(
    text: str, after: str, count: int = 3, zone: ZoneInfo = UTC_ZONE, made: str = "2026-01-01T00:00"
) -> list[str]:
    found, moment, expression = [], ms(after), parse(text)
    for _ in range(count):
        following = next_fire(expression, zone, moment, ms(made))
        if following is None:
            break
        moment = following
        found.append(datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m-%dT%H:%M"))
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [  # the examples of the user guides, from Wednesday 2026-07-01T09:07
        ("cron(0 10 * * ? *)", ["2026-07-01T10:00", "2026-07-02T10:00", "2026-07-03T10:00"]),
        ("cron(15 12 * * ? *)", ["2026-07-01T12:15", "2026-07-02T12:15", "2026-07-03T12:15"]),
        (
            "cron(0 18 ? * MON-FRI *)",
            ["2026-07-01T18:00", "2026-07-02T18:00", "2026-07-03T18:00", "2026-07-06T18:00"],
        ),
        ("cron(0 8 1 * ? *)", ["2026-08-01T08:00", "2026-09-01T08:00"]),
        ("cron(0/15 * * * ? *)", ["2026-07-01T09:15", "2026-07-01T09:30", "2026-07-01T09:45"]),
        ("cron(0/10 * ? * MON-FRI *)", ["2026-07-01T09:10", "2026-07-01T09:20"]),
        ("cron(0/5 8-17 ? * MON-FRI *)", ["2026-07-01T09:10", "2026-07-01T09:15"]),
        ("cron(0/30 23-1 ? * MON-FRI *)", ["2026-07-01T23:00", "2026-07-01T23:30", "2026-07-02T00:00"]),
        ("cron(0 0 ? * SAT-MON *)", ["2026-07-04T00:00", "2026-07-05T00:00", "2026-07-06T00:00"]),
        ("cron(0 0 1 11-2/2 ? *)", ["2026-11-01T00:00", "2027-01-01T00:00", "2027-11-01T00:00"]),
        ("cron(15 10 ? * 6L 2019-2022)", []),
        ("cron(15 10 ? * 6L 2026-2027)", ["2026-07-31T10:15", "2026-08-28T10:15"]),
        ("cron(0 12 ? * 3#2 *)", ["2026-07-14T12:00", "2026-08-11T12:00"]),
        (
            "cron(0 12 3W * ? *)",
            ["2026-07-03T12:00", "2026-08-03T12:00", "2026-09-03T12:00", "2026-10-02T12:00"],
        ),
        ("cron(0 0 L * ? *)", ["2026-07-31T00:00", "2026-08-31T00:00", "2026-09-30T00:00"]),
        ("cron(0 0 ? * L *)", ["2026-07-04T00:00", "2026-07-11T00:00"]),
        ("cron(1/10 0 1 JAN,FEB ? *)", ["2027-01-01T00:01", "2027-01-01T00:11"]),
        ("cron(0 0 29 2 ? *)", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("cron(0 0 LW 1 ? 2027)", ["2027-01-29T00:00"]),
        ("cron(0 0 1W 8 ? 2026)", ["2026-08-03T00:00"]),
    ],
)
def test_documented_expressions(expression: str, expected: list[str]) -> None:
    assert fires(expression, "2026-07-01T09:07", max(1, len(expected))) == expected


def test_a_rate_counts_from_when_it_was_made_across_changed_clocks() -> None:
    assert parse("rate(5 minutes)") == Rate(300_000)
    assert parse("rate(1 hour)") == Rate(3_600_000)
    assert parse("rate(7 days)") == Rate(7 * 86_400_000)
    assert fires("rate(5 minutes)", "2026-01-01T00:00", 2) == ["2026-01-01T00:05", "2026-01-01T00:10"]
    assert fires("rate(1 day)", "2026-03-28T12:00", 2, BERLIN, made="2026-03-01T06:30") == [
        "2026-03-29T06:30",
        "2026-03-30T06:30",
    ]
    assert fires("rate(5 minutes)", "2025-12-31T00:00", 1) == ["2026-01-01T00:05"]


def test_a_single_time_is_local_and_comes_once() -> None:
    assert parse("at(2026-07-01T10:00:30)") == At(datetime(2026, 7, 1, 10, 0, 30))
    assert fires("at(2026-07-01T10:00:00)", "2026-06-01T00:00", 3, BERLIN) == ["2026-07-01T08:00"]
    assert fires("at(2026-07-01T10:00:00)", "2026-07-01T08:00", 3, BERLIN) == []


def test_a_local_time_that_the_clocks_skip_does_not_fire() -> None:
    daily = "cron(30 2 * * ? *)"
    assert fires(daily, "2026-03-28T00:00", 2, BERLIN) == ["2026-03-28T01:30", "2026-03-30T00:30"]
    hourly = "cron(0 * * * ? *)"
    assert fires(hourly, "2026-03-29T00:00", 2, BERLIN) == ["2026-03-29T01:00", "2026-03-29T02:00"]
    with pytest.raises(ValueError, match="the clocks of Europe/Berlin skip that time"):
        check_exists(parse("at(2026-03-29T02:30:00)"), BERLIN)
    check_exists(parse("at(2026-03-29T03:00:00)"), BERLIN)


def test_a_local_time_that_the_clocks_show_twice_fires_once() -> None:
    assert fires("cron(30 1 * * ? *)", "2026-10-31T12:00", 3, NEW_YORK) == [
        "2026-11-01T05:30",
        "2026-11-02T06:30",
        "2026-11-03T06:30",
    ]
    assert fires("cron(30 1 * * ? *)", "2026-11-01T05:30", 1, NEW_YORK) == ["2026-11-02T06:30"]
    assert fires("at(2026-11-01T01:30:00)", "2026-10-01T00:00", 2, NEW_YORK) == ["2026-11-01T05:30"]


def test_a_day_that_a_zone_left_out_is_left_out() -> None:
    assert fires("cron(0 12 * * ? *)", "2011-12-29T12:00", 2, ZoneInfo("Pacific/Apia")) == [
        "2011-12-29T22:00",
        "2011-12-30T22:00",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "every day",
        "rate(0 minutes)",
        "rate(1 minutes)",
        "rate(5 minute)",
        "rate(5 seconds)",
        "rate(-5 minutes)",
        "cron(0 10 * * *)",
        "cron(0 10 * * * *)",
        "cron(0 10 ? * ? *)",
        "cron(60 10 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 0 0 * ? *)",
        "cron(0 0 32 * ? *)",
        "cron(0 0 * 13 ? *)",
        "cron(0 0 * FOO ? *)",
        "cron(0 0 ? * 0 *)",
        "cron(0 0 ? * 8 *)",
        "cron(0 0 ? * 3#6 *)",
        "cron(0 0 ? * 3#1,6#3 *)",
        "cron(0 0 ? * 2/2 *)",
        "cron(0 0 * * ? 1969)",
        "cron(0 0 * * ? 2200)",
        "cron(0 0 * * ? 2030-2029)",
        "cron(*/0 0 * * ? *)",
        "cron(5- 0 * * ? *)",
        "cron(, 0 * * ? *)",
        "cron(\u0665 0 * * ? *)",
        "at(2026-02-30T00:00:00)",
        "at(2026-02-03)",
        "at(2026-02-03T00:00:00Z)",
    ],
)
def test_what_is_no_expression_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(wrong)


def a_field(draw: random.Random, lowest: int, highest: int) -> str:
    first = draw.randint(lowest, highest)
    second = draw.randint(first, highest)
    return draw.choice(
        [
            "*",
            str(first),
            f"{first}-{second}",
            f"{first}/{draw.randint(1, 20)}",
            f"*/{draw.randint(1, 20)}",
            f"{first},{second}",
            f"{first}-{second}/{draw.randint(1, 5)}",
        ]
    )


def an_expression(draw: random.Random) -> str:
    month_days = draw.choice([a_field(draw, 1, 31), "L", f"{draw.randint(1, 31)}W", "LW", "1,L,15W"])
    first = draw.randint(1, 7)
    week_days = draw.choice(
        [str(first), f"{first}L", f"{first}#{draw.randint(1, 5)}", "MON-FRI", "L", "SUN,3L"]
    )
    days = (month_days, "?") if draw.random() < 0.5 else ("?", week_days)
    minutes, hours = a_field(draw, 0, 59), a_field(draw, 0, 23)
    return f"{minutes} {hours} {days[0]} {a_field(draw, 1, 12)} {days[1]} *"


def counted_out(fields: str, begin: datetime, days: int, zone: ZoneInfo) -> list[datetime]:
    """Every minute of the zone's clocks, looked at one by one."""
    minutes, hours, month_days, months, week_days, _ = fields.split()
    found, seen = [], set()
    for minute in range(days * 24 * 60):
        instant = begin + timedelta(minutes=minute)
        local = instant.astimezone(zone).replace(tzinfo=None)
        if local in seen:
            continue
        seen.add(local)
        if (
            means(minutes, local.minute, 0, 59)
            and means(hours, local.hour, 0, 23)
            and means(months, local.month, 1, 12)
            and means_day(month_days, week_days, local)
        ):
            found.append(instant)
    return found


def means(field: str, value: int, lowest: int, highest: int) -> bool:
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{lowest}-{highest}" if span == "*" else span).partition("-")
        end = int(last) if last else highest if step else int(first)
        if int(first) <= value <= end and (value - int(first)) % int(step or 1) == 0:
            return True
    return False


def means_day(month_days: str, week_days: str, local: datetime) -> bool:
    length = monthrange(local.year, local.month)[1]
    if week_days == "?":
        return any(month_day_means(part, local, length) for part in month_days.split(","))
    week_day = local.isoweekday() % 7 + 1
    if week_days == "MON-FRI":
        return 2 <= week_day <= 6
    for part in week_days.replace("SUN", "1").split(","):
        if "#" in part:
            day, number = part.split("#")
            if week_day == int(day) and (local.day - 1) // 7 + 1 == int(number):
                return True
        elif part == "L":
            if week_day == 7:
                return True
        elif part.endswith("L"):
            if week_day == int(part[0]) and (local + timedelta(days=7)).month != local.month:
                return True
        elif week_day == int(part):
            return True
    return False


def month_day_means(part: str, local: datetime, length: int) -> bool:
    if part == "L":
        return local.day == length
    if not part.endswith("W"):
        return means(part, local.day, 1, 31)
    wanted = length if part == "LW" else int(part[:-1])
    if wanted > length or local.isoweekday() > 5:
        return False
    days = [day for day in range(1, length + 1) if local.replace(day=day).isoweekday() <= 5]
    return local.day == min(days, key=lambda day: abs(day - wanted))


@pytest.mark.parametrize("seed", range(60))
def test_any_expression_fires_when_counting_minutes_says_so(seed: int) -> None:
    draw = random.Random(seed)
    fields = an_expression(draw)
    zone = draw.choice(
        [UTC_ZONE, BERLIN, NEW_YORK, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Kathmandu")]
    )
    begin = draw.choice(
        [
            datetime(2026, 3, 27, tzinfo=UTC),
            datetime(2026, 10, 23, tzinfo=UTC),
            datetime(2028, 2, 27, tzinfo=UTC),
        ]
    )
    cron, moment, found = Cron.parse(fields), begin - timedelta(seconds=1), list[datetime]()
    end = begin + timedelta(days=12)
    while (following := cron.after(moment, zone)) is not None and following < end and len(found) < 3000:
        found.append(following)
        moment = following
    expected = counted_out(fields, begin, 12, zone)
    # What the clocks show for the second time at the beginning is not seen by counting from there.
    assert found == expected[: len(found)], (fields, zone)
    assert len(found) in (3000, len(expected)), (fields, zone)
    assert all(one < other for one, other in pairwise(found))
