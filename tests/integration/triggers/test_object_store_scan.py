"""Scans of real buckets, with webhooks beside them: everything once, whoever sees it first."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote_plus

import boto3
import msgspec
import pytest

from broker.caller import Caller, Target
from broker.errors import BrokerUnavailable
from broker.invocation import now_ms
from broker.object_states.redis_states import RedisObjectStates
from broker.registry.interface import Registry
from broker.settings import Settings
from broker.trigger_store.model import TriggerRecord
from broker.trigger_store.redis_store import RedisTriggerStore
from tests.redis_server import RedisServer
from tests.s3_server import S3Server
from triggers.events.s3 import ObjectChange
from triggers.interface import LeaseGone, RunningTrigger
from triggers.object_store import comparison, scan
from triggers.object_store.envelopes import StoreEvent
from triggers.object_store.intake import Intake
from triggers.object_store.listing import Listing, make_client
from triggers.object_store.settings import ObjectStoreSettings

OWNER = "scanner"


class Bucket:
    """A bucket, a trigger on it, its scan and its webhook; `events` are what the function would get."""

    def __init__(self, platform: Settings, s3: Any, name: str, **settings: Any) -> None:
        self.platform = platform
        self.s3 = s3
        self.name = name
        self.events: list[tuple[str, str]] = []
        self.refuse: set[str] = set()
        self.settings = ObjectStoreSettings(
            **{"bucket": name, "events": ("s3:ObjectCreated:*", "s3:ObjectRemoved:*"), **settings}
        )
        self.store = RedisTriggerStore(platform.redis_url, platform.namespace)
        self.states = RedisObjectStates(platform.redis_url, platform.namespace)
        self.intake = Intake(self, self.states, "us-east-1")

    async def start(self, created_ms: int) -> None:
        await self.store.start()
        self.record = await self.store.create(
            TriggerRecord("t1", "object_store", "f", msgspec.Raw(b"{}"), created_ms=created_ms)
        )
        await self.store.claim(OWNER, ["t1"], 600_000, 1)

    async def close(self) -> None:
        await self.states.close()
        await self.store.close()

    async def send(self, target: Target, payload: bytes) -> str:
        [record] = json.loads(payload)["Records"]
        key = unquote_plus(record["s3"]["object"]["key"])
        if key in self.refuse:
            raise BrokerUnavailable("away")
        self.events.append((record["eventName"].partition(":")[0].removeprefix("Object"), key))
        return "id"

    async def scan(self, owner: str = OWNER) -> list[tuple[str, str]]:
        """One pass; the events that it left."""
        before = len(self.events)
        running = RunningTrigger(
            self.record,
            owner,
            cast(Caller, self),
            cast(Registry, None),
            self.store,
            self.platform,
            lambda result: None,
        )
        client = make_client(self.settings, self.platform)
        listing = Listing(client, self.name, self.settings.prefix)
        sent = await scan.Scan(running, self.settings, self.states, listing).run()
        assert sent >= len(self.events) - before  # more where it went on with a pass that was cut short
        return self.events[before:]

    async def hook(self, name: str, key: str, etag: str = "", time_ms: int = 0, **more: Any) -> str:
        change = ObjectChange(name, key, time_ms or now_ms(), etag=etag, **more)
        return await self.intake.take(self.record, self.settings, StoreEvent(self.name, change))

    def put(self, key: str, body: bytes = b"x") -> str:
        """Its ETag."""
        return str(self.s3.put_object(Bucket=self.name, Key=key, Body=body)["ETag"]).strip('"')

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.name, Key=key)


@pytest.fixture
def platform(redis_server: RedisServer, s3_server: S3Server, namespace: str, tmp_path: Path) -> Settings:
    return Settings(
        redis_url=redis_server.url,
        data_dir=tmp_path,
        code_store_url="file:///nowhere",
        namespace=namespace,
        endpoint_urls={"AWS_ENDPOINT_URL_S3": s3_server.url},
    )


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
async def bucket(platform: Settings, s3_server: S3Server, credentials: None) -> AsyncIterator[Bucket]:
    """Its trigger is older than all that is put into it."""
    made = new_bucket(platform, s3_server)
    await made.start(created_ms=0)
    yield made
    await made.close()


def new_bucket(platform: Settings, s3_server: S3Server, **settings: Any) -> Bucket:
    name = f"b-{uuid.uuid4().hex[:12]}"
    s3_server.create_bucket(name)
    s3 = boto3.client("s3", endpoint_url=s3_server.url, region_name="us-east-1")
    return Bucket(platform, s3, name, **settings)


async def test_what_comes_changes_and_goes_is_found_once(bucket: Bucket) -> None:
    bucket.put("a b/ü+.txt", b"1")
    assert await bucket.scan() == [("Created", "a b/ü+.txt")]
    assert await bucket.scan() == []

    bucket.put("a b/ü+.txt", b"2")
    bucket.put("new")
    assert await bucket.scan() == [("Created", "a b/ü+.txt"), ("Created", "new")]

    bucket.delete("a b/ü+.txt")
    assert await bucket.scan() == [("Removed", "a b/ü+.txt")]
    assert await bucket.scan() == []


async def test_what_was_there_before_the_trigger_is_not_new(
    platform: Settings, s3_server: S3Server, credentials: None
) -> None:
    made = new_bucket(platform, s3_server)
    made.put("old")
    await made.start(created_ms=now_ms() + 60_000)

    assert await made.scan() == []
    made.put("new")
    made.delete("old")
    assert await made.scan() == [("Created", "new"), ("Removed", "old")]
    await made.close()


async def test_existing_objects_are_new_where_that_is_wanted(
    platform: Settings, s3_server: S3Server, credentials: None
) -> None:
    made = new_bucket(platform, s3_server, existing_objects=True, suffix=".jpg", prefix="in/")
    for key in ("in/a.jpg", "in/a.png", "out/a.jpg"):
        made.put(key)
    await made.start(created_ms=now_ms() + 60_000)

    assert await made.scan() == [("Created", "in/a.jpg")]
    assert await made.scan() == []
    await made.close()


async def test_a_scan_does_not_repeat_what_a_webhook_told(bucket: Bucket) -> None:
    etag = bucket.put("a")
    assert await bucket.hook("ObjectCreated:Put", "a", etag) == "sent"
    bucket.put("lost")

    assert await bucket.scan() == [("Created", "lost")]
    bucket.delete("a")
    assert await bucket.hook("ObjectRemoved:Delete", "a") == "sent"
    assert await bucket.scan() == []


async def test_a_webhook_does_not_repeat_what_a_scan_found(bucket: Bucket) -> None:
    etag = bucket.put("a")
    put_ms = now_ms()
    assert await bucket.scan() == [("Created", "a")]
    assert await bucket.hook("ObjectCreated:Put", "a", etag, put_ms) == "known"

    bucket.delete("a")
    deleted_ms = now_ms()
    assert await bucket.scan() == [("Removed", "a")]
    assert await bucket.hook("ObjectRemoved:Delete", "a", time_ms=deleted_ms) == "known"
    assert len(bucket.events) == 2


async def test_thousands_of_objects_are_compared_page_by_page(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triggers.object_store.listing.MOST_KEYS", 7)
    monkeypatch.setattr(scan, "MOST_CHANGES", 3)
    monkeypatch.setattr("broker.object_states.redis_states.MOST_PAGES", 2)
    assert comparison.MOST_CHANGES > 3
    keys = [f"k/{number:03}" for number in range(40)]
    for key in keys:
        bucket.put(key)

    assert sorted(await bucket.scan()) == [("Created", key) for key in keys]
    assert await bucket.scan() == []

    for key in keys[1::3]:
        bucket.delete(key)
    added = [f"{key}+" for key in keys[::4]]
    for key in added:
        bucket.put(key)
    found = await bucket.scan()
    assert sorted(key for what, key in found if what == "Removed") == keys[1::3]
    assert sorted(key for what, key in found if what == "Created") == added
    assert await bucket.scan() == []

    for key in [*keys, *added]:
        bucket.delete(key)
    assert len(await bucket.scan()) == len(keys) - len(keys[1::3]) + len(added)
    assert await bucket.scan() == []


async def test_what_could_not_be_sent_is_found_again_and_nothing_else(bucket: Bucket) -> None:
    for key in ("a", "b", "c"):
        bucket.put(key)
    bucket.refuse = {"b"}
    with pytest.raises(BrokerUnavailable):
        await bucket.scan()
    bucket.refuse = set()

    assert await bucket.scan() == [("Created", "b")]
    assert sorted(bucket.events) == [("Created", "a"), ("Created", "b"), ("Created", "c")]


async def test_who_has_lost_the_trigger_writes_nothing_down(bucket: Bucket) -> None:
    bucket.put("a")
    with pytest.raises(LeaseGone):
        await bucket.scan("zombie")

    assert await bucket.scan() == [("Created", "a")]


async def test_old_notes_are_folded_and_a_deleted_trigger_leaves_nothing(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    etag = bucket.put("a")
    await bucket.hook("ObjectCreated:Put", "a", etag)
    monkeypatch.setattr(scan, "LATE_MS", -1000)
    assert await bucket.scan() == []
    assert await bucket.states.notes("t1", ["a"]) == {}
    assert await bucket.scan() == []

    await bucket.store.delete("t1")
    await bucket.hook("ObjectCreated:Put", "late", "e")
    assert await bucket.states.find("t1", "a") is None
    assert await bucket.states.find("t1", "late") is None


async def test_notes_that_no_scan_folds_are_trimmed(bucket: Bucket) -> None:
    await bucket.hook("ObjectCreated:Put", "a", "e1")
    await bucket.states.trim("t1", await bucket.states.now_ms() - 60_000)
    assert await bucket.states.find("t1", "a") is not None

    await bucket.states.trim("t1", await bucket.states.now_ms() + 1000)
    assert await bucket.states.find("t1", "a") is None


async def test_a_kind_of_event_that_a_scan_cannot_tell_is_left_to_the_store(
    platform: Settings, s3_server: S3Server, credentials: None
) -> None:
    made = new_bucket(platform, s3_server, events=("s3:ObjectCreated:Copy", "s3:LifecycleExpiration:*"))
    await made.start(created_ms=0)
    etag = made.put("copied")

    assert await made.scan() == []
    assert await made.hook("ObjectCreated:Copy", "copied", etag) == "sent"
    made.delete("copied")
    assert await made.scan() == []
    assert await made.hook("LifecycleExpiration:Delete", "copied") == "sent"
    await made.close()


async def test_another_place_is_looked_at_afresh(
    platform: Settings, s3_server: S3Server, bucket: Bucket
) -> None:
    bucket.put("in/a")
    bucket.put("out/b")
    bucket.settings = msgspec.structs.replace(bucket.settings, prefix="in/")
    assert await bucket.scan() == [("Created", "in/a")]

    bucket.settings = msgspec.structs.replace(bucket.settings, prefix="out/")
    assert await bucket.scan() == [("Created", "out/b")]
    assert await bucket.states.find("t1", "in/a") is None


async def test_a_pass_that_was_cut_short_goes_on_where_it_was(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triggers.object_store.listing.MOST_KEYS", 2)
    for key in "abcdef":
        bucket.put(key)
    bucket.refuse = {"d"}
    with pytest.raises(BrokerUnavailable):
        await bucket.scan()
    bucket.refuse = set()
    bucket.delete("a")

    assert sorted(await bucket.scan()) == [("Created", key) for key in "def"]
    assert await bucket.scan() == [("Removed", "a")]
