"""A table's stream by the DynamoDB Streams API, through boto3 in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from triggers.event_source_mapping.streams.lineage import Shard
from triggers.event_source_mapping.streams.source import Page, Position, PositionLost, SourceUnavailable

_THREADS = 16
_CONNECT_SECONDS = 3
_READ_SECONDS = 10
_LOST = ("ExpiredIteratorException", "TrimmedDataAccessException")
_ENDPOINTS = ("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL")


def endpoint_url(endpoint_urls: Mapping[str, str]) -> str | None:
    """Where streams are: their own endpoint, else that of the tables, else everything's; None for AWS."""
    return next((endpoint_urls[name] for name in _ENDPOINTS if endpoint_urls.get(name)), None)


class StreamClients:
    """The clients of one process, one for each region, and the threads that they block."""

    def __init__(self, endpoint_urls: Mapping[str, str]) -> None:
        self._endpoint_url = endpoint_url(endpoint_urls)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="dynamodb-streams")
        self._clients: dict[str, Any] = {}

    def source(self, stream_arn: str) -> DynamoDBSource:
        """A reader of one stream."""
        region = stream_arn.split(":")[3]
        return DynamoDBSource(stream_arn, lambda: self._client(region), self._threads)

    def _client(self, region: str) -> Any:
        if region not in self._clients:
            config = Config(
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                max_pool_connections=_THREADS,
                retries={"total_max_attempts": 1},
            )
            self._clients[region] = boto3.session.Session().client(
                "dynamodbstreams", region_name=region, endpoint_url=self._endpoint_url, config=config
            )
        return self._clients[region]


class DynamoDBSource:
    """A `StreamSource` on the DynamoDB Streams API. `client` is called in the loop's thread."""

    def __init__(self, stream_arn: str, client: Callable[[], Any], threads: ThreadPoolExecutor) -> None:
        self._stream_arn = stream_arn
        self._client = client
        self._threads = threads

    async def shards(self) -> Sequence[Shard]:
        found: list[Shard] = []
        start: dict[str, str] = {}
        while True:
            answer = await self._ask("describe_stream", StreamArn=self._stream_arn, **start)
            description = answer["StreamDescription"]
            found += [_shard(shard) for shard in description.get("Shards", [])]
            if not (last := description.get("LastEvaluatedShardId")):
                return found
            start = {"ExclusiveStartShardId": last}

    async def iterator(self, shard_id: str, position: Position) -> str:
        where: dict[str, str] = {"ShardIteratorType": position.kind}
        if position.after:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": position.after}
        answer = await self._ask("get_shard_iterator", StreamArn=self._stream_arn, ShardId=shard_id, **where)
        return str(answer["ShardIterator"])

    async def records(self, iterator: str) -> Page:
        answer = await self._ask("get_records", ShardIterator=iterator)
        return Page(answer.get("Records", []), answer.get("NextShardIterator") or "")

    async def _ask(self, operation: str, **parameters: str) -> Any:
        loop = asyncio.get_running_loop()
        try:
            call = getattr(self._client(), operation)
            return await loop.run_in_executor(self._threads, lambda: call(**parameters))
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in _LOST:
                raise PositionLost(code) from error
            raise SourceUnavailable(f"{operation}: {error}") from error
        except BotoCoreError as error:
            raise SourceUnavailable(f"{operation}: {error}") from error


def _shard(shard: Mapping[str, Any]) -> Shard:
    closed = "EndingSequenceNumber" in shard.get("SequenceNumberRange", {})
    return Shard(shard["ShardId"], shard.get("ParentShardId") or "", closed)
