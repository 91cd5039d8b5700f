"""What telemetry says, in AWS's shapes (Telemetry API event schema reference, Logs API)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

Category = Literal["platform", "function", "extension"]
Schema = Literal["2022-07-01", "2022-12-13", "2025-01-29", "2020-08-15", "2021-03-18"]
Record = Mapping[str, object] | str
Status = Literal["success", "failure", "error", "timeout"]

LOGS_SCHEMAS = ("2020-08-15", "2021-03-18")
"""Of the older Logs API."""

ONLY_IN_LOGS = ("platform.end", "platform.fault")
NOT_IN_LOGS = ("platform.initStart", "platform.initRuntimeDone", "platform.initReport")

_ADDED_LATER = {"platform.initReport": ("status", "errorType")}
"""Members that schema 2022-07-01 does not have."""

_OF_LOGS = {
    "platform.start": ("requestId", "version"),
    "platform.report": ("requestId", "metrics"),
    "platform.runtimeDone": ("requestId", "status"),
}
"""The members that the Logs API has of those the Telemetry API has."""


class Event(msgspec.Struct, frozen=True):
    """Something that happened at `time` (epoch seconds); `record` has all members of the newest schema."""

    time: float
    category: Category
    type: str
    record: Record


def encoded(event: Event, schema: Schema) -> bytes | None:
    """The event as a subscriber with this schema gets it; None where the schema has no such event."""
    shaped = _for_logs(event, schema) if schema in LOGS_SCHEMAS else _for_telemetry(event, schema)
    if shaped is None:
        return None
    kind, record = shaped
    return msgspec.json.encode({"time": timestamp(event.time), "type": kind, "record": record})


def timestamp(epoch_seconds: float) -> str:
    """ISO 8601 in UTC with milliseconds."""
    text = datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def ending(status: Status, error_type: str) -> dict[str, object]:
    """The members that say how something ended."""
    return {"status": status, "errorType": error_type} if error_type else {"status": status}


def span(name: str, start: float, duration_ms: float) -> Mapping[str, object]:
    """A part of a run."""
    return {"name": name, "start": timestamp(start), "durationMs": round(duration_ms, 3)}


def trace_context(trace_header: str) -> Mapping[str, object]:
    """The member `tracing`, where the run is traced."""
    if not trace_header:
        return {}
    parts = dict(part.partition("=")[::2] for part in trace_header.split(";"))
    found = {"type": "X-Amzn-Trace-Id", "value": trace_header}
    parent = parts.get("Parent", "")
    return {"tracing": {"spanId": parent, **found} if parent else found}


def _for_telemetry(event: Event, schema: Schema) -> tuple[str, Record] | None:
    if event.type in ONLY_IN_LOGS:
        return None
    left_out: Sequence[str] = _ADDED_LATER.get(event.type, ()) if schema == "2022-07-01" else ()
    if not left_out or isinstance(event.record, str):
        return event.type, event.record
    return event.type, {name: value for name, value in event.record.items() if name not in left_out}


def _for_logs(event: Event, schema: Schema) -> tuple[str, Record] | None:
    if event.type in NOT_IN_LOGS or (event.type == "platform.runtimeDone" and schema == "2020-08-15"):
        return None
    if event.type == "platform.telemetrySubscription":
        return "platform.logsSubscription", event.record
    members = _OF_LOGS.get(event.type)
    if members is None or isinstance(event.record, str):
        return event.type, event.record
    record = {name: event.record[name] for name in members if name in event.record}
    if record.get("status") == "error":
        record["status"] = "failure"  # the older schema knows no other failures
    return event.type, record
