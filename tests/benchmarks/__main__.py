"""`python -m tests.benchmarks`: every scenario in one run on this machine, then the targets."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from tests.benchmarks import machine
from tests.benchmarks.contestants import Contestants
from tests.benchmarks.effort import FULL, QUICK, Effort
from tests.benchmarks.findings import Findings
from tests.benchmarks.report import print_findings, print_targets, write_json
from tests.benchmarks.scenarios import (
    asynchronous,
    burst,
    cold,
    flat,
    isolation,
    keep_alive,
    languages,
    learned_imports,
    mappings,
    packages,
    queues,
    schedules,
    snap_start,
    streams,
    topics,
    urls,
    warm,
)

Scenario = Callable[[Contestants, Effort], Findings]

SCENARIOS: dict[str, Scenario] = {
    "warm": warm.measure,
    "async": asynchronous.measure,
    "cold": cold.measure,
    "burst": burst.measure,
    "flat": flat.measure,
    "isolation": isolation.measure,
    "keep-alive": keep_alive.measure,
    "languages": languages.measure,
    "queues": queues.measure,
    "snapstart": snap_start.measure,
    "packages": packages.measure,
    "imports": learned_imports.measure,
    "schedules": schedules.measure,
    "mappings": mappings.measure,
    "streams": streams.measure,
    "topics": topics.measure,
    "urls": urls.measure,
}
RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> int:
    """Run what was asked for; status 1 where a scenario could not be measured."""
    arguments = _arguments()
    effort = QUICK if arguments.quick else FULL
    console = Console(width=150)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lightswitch-bench-") as scratch, ExitStack() as stack:
        Path(scratch).chmod(0o711)  # functions run as other users, and their code lies below
        contestants = Contestants(Path(scratch), stack)
        facts = machine.facts(contestants.main.live.redis_socket)
        console.print(facts)
        findings, failures = _run(arguments.only, contestants, effort, console)
    print_targets(console, [target for found in findings for target in found.targets])
    write_json(arguments.json, facts, effort, findings)
    console.print(f"{time.monotonic() - started:.0f} s; written to {arguments.json}")
    for failure in failures:
        console.print(f"[red]not measured[/] {failure}")
    return 1 if failures else 0


def _run(
    names: list[str], contestants: Contestants, effort: Effort, console: Console
) -> tuple[list[Findings], list[str]]:
    """Scenario by scenario; one that fails leaves the others their turn."""
    findings: list[Findings] = []
    failures: list[str] = []
    for name in names:
        try:
            findings.append(SCENARIOS[name](contestants, effort))
        except Exception as error:
            failures.append(f"{name}: {type(error).__name__}: {error}")
            console.print_exception()
        else:
            print_findings(console, findings[-1])
    return findings, failures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and shorter, three minutes at most")
    parser.add_argument("--only", type=_names, default=list(SCENARIOS), help="of " + ",".join(SCENARIOS))
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="PATH", help="where results go")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {','.join(SCENARIOS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
