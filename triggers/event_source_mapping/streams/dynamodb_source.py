"""A table's stream by the DynamoDB Streams API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from triggers.aws_calls.client import Clients
from triggers.aws_calls.errors import ServiceError, ServiceRefused
from triggers.event_source_mapping.streams.lineage import Shard
from triggers.event_source_mapping.streams.source import Page, Position, PositionLost, SourceUnavailable

SERVICE = "dynamodbstreams"
_LOCAL_REGION = "ddblocal"
"""What DynamoDB Local writes into its ARNs, whatever region its tables are in."""
_LOST = ("ExpiredIteratorException", "TrimmedDataAccessException")


class DynamoDBSource:
    """A `StreamSource` on the DynamoDB Streams API."""

    def __init__(self, stream_arn: str, clients: Clients, own_region: str) -> None:
        self._stream_arn = stream_arn
        region = stream_arn.split(":")[3]
        self._region = own_region if region == _LOCAL_REGION else region
        self._clients = clients

    async def shards(self) -> Sequence[Shard]:
        found: list[Shard] = []
        start: dict[str, str] = {}
        while True:
            answer = await self._ask("DescribeStream", {"StreamArn": self._stream_arn, **start})
            description = answer["StreamDescription"]
            found += [_shard(shard) for shard in description.get("Shards", [])]
            if not (last := description.get("LastEvaluatedShardId")):
                return found
            start = {"ExclusiveStartShardId": last}

    async def iterator(self, shard_id: str, position: Position) -> str:
        where: dict[str, str] = {"ShardIteratorType": position.kind}
        if position.after:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": position.after}
        asked = {"StreamArn": self._stream_arn, "ShardId": shard_id, **where}
        return str((await self._ask("GetShardIterator", asked))["ShardIterator"])

    async def records(self, iterator: str) -> Page:
        answer = await self._ask("GetRecords", {"ShardIterator": iterator})
        return Page(answer.get("Records", []), answer.get("NextShardIterator") or "")

    async def _ask(self, operation: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        try:
            client = await self._clients.client(SERVICE, self._region)
            return await client.call(operation, parameters)
        except ServiceRefused as error:
            if error.code in _LOST:
                raise PositionLost(str(error)) from error
            raise SourceUnavailable(str(error)) from error
        except ServiceError as error:
            raise SourceUnavailable(str(error)) from error


def _shard(shard: Mapping[str, Any]) -> Shard:
    closed = "EndingSequenceNumber" in shard.get("SequenceNumberRange", {})
    return Shard(shard["ShardId"], shard.get("ParentShardId") or "", closed)
