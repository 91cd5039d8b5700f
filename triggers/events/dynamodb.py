"""The event of a DynamoDB stream, as a function gets it. Pure.

Source: "Using AWS Lambda with Amazon DynamoDB" in the Lambda developer guide: one entry in `Records` for each
change; binary attributes are base64; times are epoch seconds; with a tumbling window the window, its state
and the shard stand beside `Records`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec


class Window(msgspec.Struct, frozen=True):
    """One tumbling window: from `start` up to, not including, `end`, in epoch seconds."""

    start: int
    end: int


class WindowContext(msgspec.Struct, frozen=True):
    """What a function is told of the window that its records belong to. `state` is JSON."""

    window: Window
    state: msgspec.Raw
    shard_id: str
    event_source_arn: str
    is_final: bool = False
    is_terminated_early: bool = False


def stream_record(record: Mapping[str, Any], stream_arn: str) -> dict[str, Any]:
    """One entry of `Records` from a record of the GetRecords operation.

    As its JSON has it or as botocore parses it: times may be datetimes, binary attributes bytes.
    """
    change = dict(record["dynamodb"])
    if "ApproximateCreationDateTime" in change:
        change["ApproximateCreationDateTime"] = epoch_seconds(change["ApproximateCreationDateTime"])
    entry: dict[str, Any] = {
        "eventID": record.get("eventID", ""),
        "eventName": record.get("eventName", ""),
        "eventVersion": record.get("eventVersion", "1.1"),
        "eventSource": "aws:dynamodb",
        "awsRegion": stream_arn.split(":")[3],
        "dynamodb": change,
        "eventSourceARN": stream_arn,
    }
    if identity := record.get("userIdentity"):
        entry["userIdentity"] = {
            "type": identity.get("Type", ""),
            "principalId": identity.get("PrincipalId", ""),
        }
    return entry


def event(records: Sequence[msgspec.Raw], context: WindowContext | None = None) -> bytes:
    """The payload for encoded entries of `Records`."""
    document: dict[str, object] = {"Records": records}
    if context is not None:
        document |= {
            "window": {"start": timestamp(context.window.start), "end": timestamp(context.window.end)},
            "state": context.state,
            "shardId": context.shard_id,
            "eventSourceARN": context.event_source_arn,
            "isFinalInvokeForWindow": context.is_final,
            "isWindowTerminatedEarly": context.is_terminated_early,
        }
    return msgspec.json.encode(document)


def epoch_seconds(moment: datetime | float) -> int | float:
    """Epoch seconds, whole where the source says no more."""
    seconds = moment.timestamp() if isinstance(moment, datetime) else moment
    return int(seconds) if seconds == int(seconds) else seconds


def timestamp(seconds: float) -> str:
    """`2026-11-25T11:00:00Z`"""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
