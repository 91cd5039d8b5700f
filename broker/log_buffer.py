"""What functions have written and nobody has stored yet: bounded, and honest about what it dropped."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

CHUNK_OVERHEAD_BYTES = 64
"""Counted on top of each chunk's text, so that empty writes are bounded too."""

Stored = tuple[str, bytes]
"""Log stream and text of one entry."""


@dataclass(slots=True)
class Backlog:
    """One function's chunks, oldest first."""

    chunks: deque[Stored] = field(default_factory=deque)
    size_bytes: int = 0
    dropped_bytes: int = 0


class LogBuffer:
    """Chunks by function. Each function is bounded by itself, so that a noisy one silences only itself."""

    def __init__(self, most_bytes_per_function: int, most_bytes: int) -> None:
        self._most_bytes_per_function = most_bytes_per_function
        self._most_bytes = most_bytes
        self._backlogs: dict[str, Backlog] = {}
        self.size_bytes = 0
        """Of all functions, overhead included."""

    def append(self, function_name: str, log_stream: str, text: bytes) -> None:
        """Keep a chunk; makes room by dropping the function's oldest."""
        backlog = self._backlogs.get(function_name)
        if backlog is None:
            backlog = self._backlogs[function_name] = Backlog()
        backlog.chunks.append((log_stream, text))
        size_bytes = len(text) + CHUNK_OVERHEAD_BYTES
        backlog.size_bytes += size_bytes
        self.size_bytes += size_bytes
        if backlog.size_bytes > self._most_bytes_per_function or self.size_bytes > self._most_bytes:
            self._make_room(backlog)

    def take(self) -> Mapping[str, Backlog]:
        """Everything; the buffer is empty then."""
        taken, self._backlogs, self.size_bytes = self._backlogs, {}, 0
        return taken

    def put_back(self, taken: Mapping[str, Backlog]) -> None:
        """Return what could not be stored, ahead of what came since."""
        newer = self.take()
        for source in (taken, newer):
            for function_name, backlog in source.items():
                for log_stream, text in backlog.chunks:
                    self.append(function_name, log_stream, text)
                if backlog.dropped_bytes:
                    kept = self._backlogs.setdefault(function_name, Backlog())
                    kept.dropped_bytes += backlog.dropped_bytes

    def forget(self, function_name: str) -> None:
        """Drop a function's chunks without a word."""
        backlog = self._backlogs.pop(function_name, None)
        self.size_bytes -= backlog.size_bytes if backlog else 0

    def _make_room(self, backlog: Backlog) -> None:
        while backlog.chunks and (
            backlog.size_bytes > self._most_bytes_per_function or self.size_bytes > self._most_bytes
        ):
            _, text = backlog.chunks.popleft()
            size_bytes = len(text) + CHUNK_OVERHEAD_BYTES
            backlog.size_bytes -= size_bytes
            self.size_bytes -= size_bytes
            backlog.dropped_bytes += len(text)


def entries(backlog: Backlog, most_entry_bytes: int) -> list[Stored]:
    """A function's chunks as entries to store: joined by log stream, cut where they are too long.

    The first one tells how much was dropped before the others, if anything was.
    """
    joined: dict[str, list[bytes]] = {}
    for log_stream, text in backlog.chunks:
        joined.setdefault(log_stream, []).append(text)
    made: list[Stored] = []
    if backlog.dropped_bytes:
        log_stream = next(iter(joined), "")
        made.append((log_stream, b"%d bytes of log dropped\n" % backlog.dropped_bytes))
    for log_stream, texts in joined.items():
        made += [(log_stream, piece) for piece in _cut(b"".join(texts), most_entry_bytes)]
    return made


def _cut(text: bytes, most_bytes: int) -> list[bytes]:
    """Pieces of at most `most_bytes`, ending at line ends where there are some."""
    pieces = []
    while len(text) > most_bytes:
        end = text.rfind(b"\n", 0, most_bytes) + 1 or most_bytes
        pieces.append(text[:end])
        text = text[end:]
    return [*pieces, text] if text else pieces
