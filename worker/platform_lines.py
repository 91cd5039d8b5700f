"""The platform's own lines around each run, in the function's log format.

Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html (JSON: START and
REPORT as the Telemetry API's events, which events which level lets through).
"""

from __future__ import annotations

import time
from typing import Protocol

import msgspec

from worker.metering import Usage, report_line, report_metrics
from worker.telemetry.records import Status, ending, timestamp


class PlatformLines(Protocol):
    """Text that frames a run in its function's log; empty where nothing is to be written."""

    def start(self, request_id: str, version: str) -> str:
        """Before the run."""

    def end(self, request_id: str, usage: Usage, status: Status, error_type: str) -> str:
        """After it."""


class TextLines:
    """As functions have them that chose nothing."""

    def start(self, request_id: str, version: str) -> str:
        return f"START RequestId: {request_id} Version: {version}\n"

    def end(self, request_id: str, usage: Usage, status: Status, error_type: str) -> str:
        return f"END RequestId: {request_id}\n{report_line(request_id, usage)}"


AS_TEXT = TextLines()


class JsonLines:
    """Events, one a line. `level` is the function's SystemLogLevel."""

    def __init__(self, level: str) -> None:
        self._tells_success = level != "WARN"

    def start(self, request_id: str, version: str) -> str:
        if not self._tells_success:
            return ""
        return _event("platform.start", {"requestId": request_id, "version": version})

    def end(self, request_id: str, usage: Usage, status: Status, error_type: str) -> str:
        if status == "success" and not self._tells_success:
            return ""
        metrics = {"metrics": report_metrics(usage)}
        return _event("platform.report", {"requestId": request_id, **metrics, **ending(status, error_type)})


def platform_lines(log_format: str, system_log_level: str) -> PlatformLines:
    """The lines of a function with this LoggingConfig."""
    return JsonLines(system_log_level) if log_format == "JSON" else AS_TEXT


def _event(kind: str, record: dict[str, object]) -> str:
    event = {"time": timestamp(time.time()), "type": kind, "record": record}
    return msgspec.json.encode(event).decode() + "\n"
