"""The platform's lines around a run, in the format that the function chose."""

from __future__ import annotations

import json
from typing import Any

from worker.journal import Journal
from worker.metering import Usage
from worker.platform_lines import platform_lines
from worker.telemetry.records import Status

USAGE = Usage(3.0061, 110.1, 128, 36)


def logged(system_level: str, status: Status = "success", error_type: str = "") -> list[dict[str, Any]]:
    """What the platform writes around a run of a function with the format JSON."""
    written: list[bytes] = []
    lines = platform_lines("JSON", system_level)
    journal = Journal(lambda function, stream, text: written.append(text), "f", lines)
    journal.begin("id", "7", keep_tail=False)
    journal.end("id", USAGE, status, error_type)
    return [json.loads(line) for line in b"".join(written).splitlines()]


def test_a_run_is_framed_by_events() -> None:
    start, report = logged("INFO")
    assert (start["type"], start["record"]) == ("platform.start", {"requestId": "id", "version": "7"})
    assert start["time"].endswith("Z")
    assert report["type"] == "platform.report"
    assert report["record"] == {
        "requestId": "id",
        "metrics": {
            "durationMs": 3.006,
            "billedDurationMs": 114,
            "memorySizeMB": 128,
            "maxMemoryUsedMB": 36,
            "initDurationMs": 110.1,
        },
        "status": "success",
    }


def test_a_report_says_what_went_wrong() -> None:
    _, report = logged("DEBUG", "error", "Runtime.ExitError")
    assert (report["record"]["status"], report["record"]["errorType"]) == ("error", "Runtime.ExitError")


def test_with_warnings_alone_only_what_went_wrong_is_told() -> None:
    assert logged("WARN") == []
    [report] = logged("WARN", "timeout")
    assert report["record"]["status"] == "timeout"
