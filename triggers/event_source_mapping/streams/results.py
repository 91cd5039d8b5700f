"""A mapping's LastProcessingResult from what its shards say. Pure."""

from __future__ import annotations

from collections.abc import Callable

NOTHING = "No records processed"
_PROBLEM = "PROBLEM"


class Results:
    """Passes on the worst of what a mapping's parts said last: a problem, else a success, else nothing."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._last: dict[str, str] = {}

    def of(self, part: str) -> Callable[[str], None]:
        """Where one part (a shard) reports."""

        def report(result: str) -> None:
            if self._last.get(part) != result:
                self._last[part] = result
                self._report(self._worst())

        return report

    def forget(self, part: str) -> None:
        """The part has come to its end."""
        if self._last.pop(part, None) is not None and self._last:
            self._report(self._worst())

    def _worst(self) -> str:
        results = list(self._last.values())
        problems = [result for result in results if result.startswith(_PROBLEM)]
        if problems:
            return problems[0]
        return next((result for result in results if result != NOTHING), NOTHING)
