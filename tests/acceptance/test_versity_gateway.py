"""A real store that pushes without retrying, and is scanned at the same time: every change runs once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy.credentials import Credentials
from deploy.endpoint import Endpoint
from tests.acceptance.functions import attempts
from tests.deployment_packages import package
from tests.live_system import LiveSystem
from tests.versity_gateway import ACCESS_KEY, SECRET_KEY, VersityGateway, build

pytestmark = pytest.mark.timeout(400)  # the first one may have to build the store

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
    store.webhook_url = f"{system.url}/lightswitch/hooks/object-store/{trigger['id']}?token={token}"
    store.start()
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


def kill_triggers(system: LiveSystem) -> None:
    """`kill -9` of the process that scans, once there is one."""
    for _ in attempts("a process that serves triggers"):
        for process in system.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "triggers" in process.cmdline():
                    process.kill()
                    process.wait(10)
                    return


def test_outages_of_the_store_and_of_us_lose_nothing(system: LiveSystem, store: VersityGateway) -> None:
    watched = Watched(system)
    trigger = watched.add_trigger(store)
    webhook = f"{system.url}/lightswitch/hooks/object-store/{trigger['id']}?token={'wrong' * 5}"
    store.webhook_url = webhook  # every push is refused: only scans tell
    store.start()
    s3 = store.client()
    s3.create_bucket(Bucket="photos")
    s3.put_object(Bucket="photos", Key="first", Body=b"1")
    watched.until("first")

    store.stop()
    (store.root / "photos" / "while it was away").write_text("2")
    for _ in attempts("the trigger to say what is wrong"):
        status = watched.endpoint.get(f"/triggers/{trigger['id']}")["status"]
        if status.get("state") == "failing":
            break
    assert "cannot list bucket photos" in status["last_result"]
    store.start()
    watched.until("while it was away")

    for name in ("a", "b", "c"):
        store.client().put_object(Bucket="photos", Key=name, Body=b"3")
        kill_triggers(system)
    store.client().put_object(Bucket="photos", Key="zz", Body=b"4")
    seen = watched.until("zz")
    assert {key for _, key in seen} == {"first", "while it was away", "a", "b", "c", "zz"}
