"""What the on-failure destination is told of a batch that was given up: AWS's metadata document. Pure.

Source: the example of an invocation record in "Retaining discarded records for a DynamoDB event source".
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from triggers.event_source_mapping.streams.batches import Batch, Condition
from triggers.events.dynamodb import timestamp


class Ran(msgspec.Struct, frozen=True):
    """The last run of the batch, where there was one."""

    request_id: str
    executed_version: str
    function_error: str


def failure_record(
    batch: Batch,
    condition: Condition,
    *,
    function_arn: str,
    shard_id: str,
    stream_arn: str,
    now: datetime,
    last_run: Ran | None,
    payload: bytes | None = None,
) -> bytes:
    """The document as JSON. `payload`: the event itself, which S3 destinations get as well."""
    document: dict[str, object] = {
        "requestContext": {
            "requestId": last_run.request_id if last_run else "",
            "functionArn": function_arn,
            "condition": condition,
            "approximateInvokeCount": batch.runs,
        }
    }
    if last_run is not None:
        document["responseContext"] = {
            "statusCode": 200,
            "executedVersion": last_run.executed_version,
            "functionError": last_run.function_error,
        }
    document["version"] = "1.0"
    document["timestamp"] = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    document["DDBStreamBatchInfo"] = {
        "shardId": shard_id,
        "startSequenceNumber": batch.records[0].sequence_number,
        "endSequenceNumber": batch.records[-1].sequence_number,
        "approximateArrivalOfFirstRecord": timestamp(batch.records[0].created_seconds),
        "approximateArrivalOfLastRecord": timestamp(batch.records[-1].created_seconds),
        "batchSize": len(batch.records),
        "streamArn": stream_arn,
    }
    if payload is not None:
        document["payload"] = payload.decode()
    return msgspec.json.encode(document)
