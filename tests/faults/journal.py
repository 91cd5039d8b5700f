"""What functions wrote down while they ran: the truth about runs, whatever the platform says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """`init`, `start` or `end` of one process of the recorder function; `at` is epoch seconds."""

    event: str
    request_id: str
    process: str
    """Its start in ticks since boot, and its pid in its own namespace."""
    at: float
    label: str


class Journal:
    """A file that functions, under whatever user, append to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        path.chmod(0o666)

    def entries(self, event: str = "", request_id: str = "", label: str = "") -> list[Entry]:
        """Entries in the order they were written, all or those that match."""
        found = []
        for line in self.path.read_text().splitlines():
            kind, of, process, at, named = line.split(" ")
            if event in ("", kind) and request_id in ("", of) and label in ("", named):
                found.append(Entry(kind, of, process, float(at), named))
        return found

    def duplicates(self) -> int:
        """Runs beyond the first of each request."""
        runs = Counter(entry.request_id for entry in self.entries("start"))
        return sum(count - 1 for count in runs.values())

    def runs_of(self, label: str) -> Counter[str]:
        """How often each request with this label was run."""
        return Counter(entry.request_id for entry in self.entries("start", label=label))

    def most_at_once(self, label: str) -> int:
        """The largest number of runs with this label that were under way at one moment."""
        running = most = 0
        for entry in self.entries(label=label):
            running += {"start": 1, "end": -1}[entry.event]
            most = max(most, running)
        return most
