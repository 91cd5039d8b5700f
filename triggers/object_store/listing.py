"""Listing a bucket in the order of its keys, with boto3, on threads."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import boto3
import botocore.exceptions
import msgspec
from botocore.config import Config

from broker.aws_clients import endpoint_of
from broker.invocation import now_ms
from broker.settings import Settings
from triggers.object_store.settings import ObjectStoreSettings

MOST_KEYS = 1000
_CONNECT_SECONDS = 5
_READ_SECONDS = 60


class ListingFailed(Exception):
    """The store did not list the bucket as S3 does; the text says why."""


class Listed(msgspec.Struct, frozen=True):
    """An object as listed. `modified_ms` is the store's clock."""

    key: str
    etag: str
    size_bytes: int
    modified_ms: int


class Page(msgspec.Struct, frozen=True):
    """Some of a bucket's objects in the order of their keys; `more` follow. `store_ms`: the store's clock."""

    objects: tuple[Listed, ...]
    more: bool
    store_ms: int


class Listing:
    """One bucket of one store, under one prefix."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    async def page(self, after: str) -> Page:
        """Up to 1,000 objects behind a key. Raises ListingFailed."""
        return await asyncio.to_thread(self._page, after)

    def _page(self, after: str) -> Page:
        start = {"StartAfter": after} if after else {}
        try:
            answer = self._client.list_objects_v2(
                Bucket=self._bucket, Prefix=self._prefix, MaxKeys=MOST_KEYS, **start
            )
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise ListingFailed(f"cannot list bucket {self._bucket}: {error}") from error
        objects = tuple(map(_listed, answer.get("Contents", ())))
        _check_order(after, objects)
        if answer.get("IsTruncated") and not objects:
            raise ListingFailed(f"the store says that bucket {self._bucket} has more keys, but lists none")
        return Page(objects, bool(answer.get("IsTruncated")), _store_ms(answer))


def make_client(settings: ObjectStoreSettings, platform: Settings) -> Any:
    """An S3 client for the trigger's store, with the credentials of the process."""
    endpoint_url = settings.endpoint_url or endpoint_of("s3", platform.endpoint_urls)
    config = Config(
        s3={"addressing_style": "path"} if endpoint_url else {},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": 2},
    )
    session = boto3.session.Session(region_name=platform.region)
    return session.client("s3", endpoint_url=endpoint_url, config=config)


def _listed(found: dict[str, Any]) -> Listed:
    modified: datetime = found.get("LastModified") or datetime.fromtimestamp(0, UTC)
    etag = str(found.get("ETag", "")).strip('"')
    return Listed(found["Key"], etag, int(found.get("Size", 0)), round(modified.timestamp() * 1000))


def _check_order(after: str, objects: tuple[Listed, ...]) -> None:
    """Comparing needs what S3 promises: the order of the keys' UTF-8 bytes."""
    last = after
    for found in objects:
        if found.key <= last:
            raise ListingFailed(
                f"the store lists {found.key[:100]!r} after {last[:100]!r}, not in the order of keys, so it"
                " cannot be scanned; let it push events instead, and set scan_seconds to 0"
            )
        last = found.key


def _store_ms(answer: dict[str, Any]) -> int:
    date = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date", "")
    try:
        return round(parsedate_to_datetime(date).timestamp() * 1000)
    except ValueError:
        return now_ms()
