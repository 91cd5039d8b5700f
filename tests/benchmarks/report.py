"""The printed tables and the JSON file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.findings import Figure, Findings, Target


def print_findings(console: Console, findings: Findings) -> None:
    """A scenario's rows, as soon as it has ended."""
    columns = list(dict.fromkeys(name for row in findings.rows for name in row))
    table = Table(title=findings.scenario, title_justify="left")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="left" if column == "what" else "right")
    for row in findings.rows:
        table.add_row(*(_shown(row.get(column, "")) for column in columns))
    console.print(table)
    for note in findings.notes:
        console.print(f"  {note}", highlight=False)


def print_targets(console: Console, targets: Sequence[Target]) -> None:
    """What was promised, beside what this run measured."""
    table = Table(title="targets", title_justify="left")
    for heading in ("promise", "measured", "target", ""):
        table.add_column(heading, justify="left" if heading == "promise" else "right")
    for target in targets:
        sign = ">=" if target.bound == "at least" else "<="
        verdict = "[green]met[/]" if target.met else "[red]MISSED[/]"
        unit = f" {target.unit}" if target.unit else ""
        table.add_row(
            target.promise, f"{_shown(target.value)}{unit}", f"{sign} {target.limit:g}{unit}", verdict
        )
    console.print(table)


def write_json(path: Path, machine: dict[str, object], effort: object, findings: Sequence[Findings]) -> None:
    """Everything of a run, for comparisons and for the README."""
    content = {
        "machine": machine,
        "effort": dataclasses.asdict(effort),  # type: ignore[call-overload]
        "scenarios": [
            {
                "scenario": found.scenario,
                "rows": found.rows,
                "notes": found.notes,
                "targets": [dataclasses.asdict(target) | {"met": target.met} for target in found.targets],
            }
            for found in findings
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def _shown(figure: Figure) -> str:
    if isinstance(figure, float):
        return f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:,.2f}"
    return f"{figure:,}" if isinstance(figure, int) else figure
