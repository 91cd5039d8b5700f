"""What a scenario found: rows of figures, and the targets they are held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tests.benchmarks.measurements import Round

Figure = str | int | float
Bound = Literal["at least", "at most"]


@dataclass(frozen=True, slots=True)
class Target:
    """A promise: `value` is what this run measured, `limit` what it must reach."""

    promise: str
    value: float
    bound: Bound
    limit: float
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.bound == "at least" else self.value <= self.limit


@dataclass(slots=True)
class Findings:
    """One scenario's table and targets."""

    scenario: str
    rows: list[dict[str, Figure]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, what: str, **figures: Figure) -> None:
        """A row of the table."""
        self.rows.append({"what": what, **figures})

    def add_round(self, what: str, measured: Round, **more: Figure) -> None:
        """A row with the figures of a round of load."""
        self.add(
            what,
            requests_per_second=round(measured.requests_per_second, 1),
            p50_ms=round(measured.p50_ms, 3),
            p90_ms=round(measured.p90_ms, 3),
            p99_ms=round(measured.p99_ms, 3),
            errors=measured.errors,
            **more,
        )

    def promise(self, promise: str, value: float, bound: Bound, limit: float, unit: str = "") -> None:
        """Hold a figure against a target."""
        self.targets.append(Target(promise, value, bound, limit, unit))


def ratio(ours: float, theirs: float) -> float:
    """ours / theirs; 0 where there is nothing to divide by."""
    return ours / theirs if theirs else 0.0
