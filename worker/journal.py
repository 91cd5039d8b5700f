"""The log of one environment: the function's output between the platform's own lines."""

from __future__ import annotations

from collections.abc import Callable

from worker.metering import Usage
from worker.platform_lines import AS_TEXT, PlatformLines
from worker.telemetry.records import Status

TAIL_BYTES = 4096
"""What `LogType: Tail` returns of a run."""

Append = Callable[[str, str, bytes], None]
"""Function name, log stream, text: where log lines are kept."""


class Journal:
    """Writes one log stream. `tail` has the end of the current run's part, where it was asked for."""

    __slots__ = ("_append", "_function_name", "_kept", "_lines", "_used", "log_stream")

    def __init__(self, append: Append, function_name: str, lines: PlatformLines = AS_TEXT) -> None:
        self._append = append
        self._lines = lines
        self._function_name = function_name
        self._kept: bytearray | None = bytearray()  # what init writes belongs to the first run's tail
        self._used = False
        self.log_stream = ""

    def output(self, text: bytes) -> None:
        """What the function wrote, as it came."""
        self._write(text)

    def begin(self, request_id: str, version: str, *, keep_tail: bool) -> None:
        """A run starts."""
        if not keep_tail:
            self._kept = None
        elif self._used or self._kept is None:
            self._kept = bytearray()
        self._used = True
        self.note(self._lines.start(request_id, version))

    def note(self, line: str) -> None:
        """A line of the platform's own, such as a timeout."""
        if line:
            self._write(line.encode())

    def end(self, request_id: str, usage: Usage, status: Status = "success", error_type: str = "") -> bytes:
        """A run is over; the last 4 KB of its log where its tail was kept."""
        self.note(self._lines.end(request_id, usage, status, error_type))
        kept, self._kept = self._kept, None
        return bytes(kept[-TAIL_BYTES:]) if kept is not None else b""

    def _write(self, text: bytes) -> None:
        self._append(self._function_name, self.log_stream, text)
        if self._kept is not None:
            self._kept += text
            if len(self._kept) > 16 * TAIL_BYTES:
                del self._kept[:-TAIL_BYTES]
