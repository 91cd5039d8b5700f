"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]
"""`warn`: it works, but not as well as it could. `fail`: it does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice` says what to do; empty where all is well."""

    level: Level
    subject: str
    detail: str
    advice: str = ""


def ok(subject: str, detail: str) -> Finding:
    """All is well."""
    return Finding("ok", subject, detail)


def warn(subject: str, detail: str, advice: str) -> Finding:
    """It works, but not as well as it could."""
    return Finding("warn", subject, detail, advice)


def fail(subject: str, detail: str, advice: str) -> Finding:
    """It does not work."""
    return Finding("fail", subject, detail, advice)
