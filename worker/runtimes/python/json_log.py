"""Log records as lines of JSON, with the members that they have on Lambda."""

from __future__ import annotations

import json
import logging
import time
import traceback

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"

LEVELS = {"TRACE": "DEBUG", "WARN": "WARNING", "FATAL": "CRITICAL"}
"""Lambda's names of levels that Python calls otherwise."""

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"aws_request_id", "message", "asctime", "taskName"}
"""What every record has; the rest came as `extra`."""


class JsonFormatter(logging.Formatter):
    """One record, one line. What JSON cannot say is written as text; members without a value are left out."""

    def __init__(self) -> None:
        super().__init__(datefmt=TIME_FORMAT)
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        as_object = isinstance(record.msg, dict) and not record.args
        members = {
            "timestamp": self.formatTime(record, self.datefmt),
            "level": record.levelname,
            "message": record.msg if as_object else record.getMessage(),
            "logger": record.name,
            **_exception(record),
            "requestId": getattr(record, "aws_request_id", None) or None,
        }
        extra = {name: value for name, value in vars(record).items() if name not in STANDARD}
        return line({**extra, **members})


def line(members: dict[str, object]) -> str:
    """A line of the log; members that are None are left out."""
    told = {name: value for name, value in members.items() if value is not None}
    return json.dumps(told, ensure_ascii=False, default=str) + "\n"


def error_line(document: dict[str, object]) -> str:
    """The line for an error that the function did not catch."""
    now = time.strftime(TIME_FORMAT, time.gmtime())
    return line({"timestamp": now, "level": "ERROR", **document})


def _exception(record: logging.LogRecord) -> dict[str, object]:
    if not record.exc_info or record.exc_info[0] is None:
        return {}
    error_type, error, trace = record.exc_info
    return {
        "stackTrace": traceback.format_tb(trace),
        "errorType": error_type.__name__,
        "errorMessage": str(error),
        "location": f"{record.pathname}:{record.funcName}:{record.lineno}",
    }
