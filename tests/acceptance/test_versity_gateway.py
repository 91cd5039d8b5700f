"""A real store that pushes without retrying, and is scanned at the same time: every change runs once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.credentials import Credentials
from deploy.endpoint import Endpoint
from tests.acceptance.functions import attempts
from tests.deployment_packages import package
from tests.live_system import LiveSystem
from tests.versity_gateway import ACCESS_KEY, SECRET_KEY, VersityGateway, build

FUNCTION = b"""
from urllib.parse import unquote_plus

def handler(event, context):
    [record] = event["Records"]
    name = record["eventName"].partition(":")[0]
    print("SAW", name, unquote_plus(record["s3"]["object"]["key"]), record["s3"]["bucket"]["arn"], sep="|")
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VersityGateway]:
    program = build()
    if isinstance(program, str):
        pytest.skip(program)
    made = VersityGateway(program, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSystem]:
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    with LiveSystem(tmp_path_factory.mktemp("scanned") / "data", ["--workers", "1"], keys) as running:
        running.deploy("watcher", package({"app.py": FUNCTION}))
        yield running


class Watched:
    """What the function has seen."""

    def __init__(self, system: LiveSystem) -> None:
        ours = system.endpoint
        self.endpoint = Endpoint(system.url, ours.region, Credentials(ours.access_key, ours.secret_key))

    def add_trigger(self, store: VersityGateway) -> Any:
        settings = {
            "bucket": "photos",
            "endpoint_url": store.url,
            "events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
            "scan_seconds": 0.5,
        }
        document = {"kind": "object_store", "function": "watcher", "settings": settings}
        return self.endpoint.send("POST", "/triggers", document)

    def seen(self) -> list[tuple[str, str]]:
        events = self.endpoint.get("/functions/watcher/logs", limit=1000)["events"]
        lines = "".join(event["message"] for event in events).splitlines()
        parts = [line.split("|") for line in lines if line.startswith("SAW|")]
        assert {arn for *_, arn in parts} <= {"arn:aws:s3:::photos"}
        return sorted((name.removeprefix("Object"), key) for _, name, key, _ in parts)

    def until(self, key: str) -> list[tuple[str, str]]:
        """All that was seen once `key` was."""
        for _ in attempts(f"{key} to be seen"):
            seen = self.seen()
            if any(one[1] == key for one in seen):
                return seen
        raise AssertionError


def test_every_change_runs_once_whether_pushed_scanned_or_both(
    system: LiveSystem, store: VersityGateway
) -> None:
    watched = Watched(system)
    trigger = watched.add_trigger(store)  # the store is not even there
    token = trigger["settings"]["token"]
    store.start(f"{system.url}/lightswitch/hooks/object-store/{trigger['id']}?token={token}")
    s3 = store.client()
    s3.create_bucket(Bucket="photos")

    keys = [f"a b/ü+{number}.txt" for number in range(12)]
    for key in keys:
        s3.put_object(Bucket="photos", Key=key, Body=key.encode())
    for key in keys[:3]:
        s3.delete_object(Bucket="photos", Key=key)
    s3.put_object(Bucket="photos", Key=keys[3], Body=b"other")
    beside = store.root / "photos" / "a b" / "beside.txt"
    beside.write_text("put there without the gateway: only a scan can find it")
    watched.until("a b/beside.txt")
    (store.root / "photos" / "zz").write_text("once this is found, a scan has passed over all")

    assert watched.until("zz") == sorted(
        [
            *(("Created", key) for key in keys),
            *(("Removed", key) for key in keys[:3]),
            ("Created", keys[3]),
            ("Created", "a b/beside.txt"),
            ("Created", "zz"),
        ]
    )
