"""stdout, stderr and logging of a Python function, set up as on Lambda."""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Mapping

from . import faults
from .json_log import LEVELS, JsonFormatter, error_line

LINE_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"


class FunctionLog(logging.Handler):
    """Root handler of a function's logging; knows the run that is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.request_id = ""
        formatter = logging.Formatter(LINE_FORMAT, TIME_FORMAT)
        formatter.converter = time.gmtime
        self.setFormatter(formatter)
        self._is_json = False

    def follow(self, variables: Mapping[str, str]) -> None:
        """Write as the function's environment says: what its LoggingConfig chose is told there."""
        if variables.get("AWS_LAMBDA_LOG_FORMAT") != "JSON":
            return
        self._is_json = True
        self.setFormatter(JsonFormatter())
        level = variables.get("AWS_LAMBDA_LOG_LEVEL", "INFO")
        logging.getLogger().setLevel(LEVELS.get(level, level))

    def error(self, document: faults.Document) -> None:
        """Write the entry for an error that the function did not catch."""
        sys.stdout.write(error_line(document) if self._is_json else faults.log_entry(document))

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line to stdout; a record that cannot be formatted is reported on stderr."""
        record.aws_request_id = self.request_id
        try:
            sys.stdout.write(self.format(record))
        except Exception:
            self.handleError(record)


def open_streams() -> None:
    """Line-buffered UTF-8 streams on descriptors 1 and 2; whoever answers must `flush_streams` first."""
    sys.stdout = stream(1, "strict")
    sys.stderr = stream(2, "backslashreplace")


def stream(descriptor: int, errors: str) -> io.TextIOWrapper:
    """A line-buffered UTF-8 stream that leaves its descriptor open."""
    raw = io.BufferedWriter(io.FileIO(descriptor, "wb", closefd=False))
    return io.TextIOWrapper(raw, "utf-8", errors, line_buffering=True)


def flush_streams() -> None:
    """Hand on what the function wrote; a function may have closed or replaced its streams."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (ValueError, OSError, AttributeError):
            continue
