"""The webhook of object stores: who may post, what is taken once, what is refused and leaves nothing."""

from __future__ import annotations

import base64
import json
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from deploy.errors import DeployError
from tests.integration.gateway.conftest import RunningGateway
from tests.integration.gateway.hooks import add_trigger, endpoint, enqueued, post


class Hook:
    """One trigger's webhook."""

    def __init__(self, gateway: RunningGateway, function: str, **settings: Any) -> None:
        self.gateway = gateway
        self.shown = add_trigger(gateway, "object_store", function, bucket="photos", **settings)
        self.token = self.shown["settings"]["token"]
        self.path = f"/object-store/{self.shown['id']}"

    def post(self, body: bytes | str, **headers: str) -> tuple[int, Any]:
        return post(self.gateway, self.path, body, headers or {"Authorization": f"Bearer {self.token}"})


MakeHook = Callable[..., Hook]


@pytest.fixture
def make_hook(gateway: RunningGateway, create: Callable[..., Any], name: str, client: Any) -> MakeHook:
    create()
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    return lambda **settings: Hook(gateway, name, scan_seconds=0, **settings)


def event(key: str = "a.jpg", name: str = "s3:ObjectCreated:Put", bucket: str = "photos", **more: Any) -> str:
    made = {
        "eventName": name,
        "eventTime": "2026-01-01T00:00:00Z",
        "eventSource": "minio:s3",
        "s3": {"bucket": {"name": bucket}, "object": {"key": key, "eTag": "e1", **more}},
    }
    return json.dumps({"EventName": name, "Records": [made]})


def test_an_event_is_taken_once_however_often_it_is_posted(make_hook: MakeHook) -> None:
    hook = make_hook()
    before = enqueued(hook.gateway)
    body = event(uuid.uuid4().hex, sequencer="1")

    assert hook.post(body) == (200, {"sent": 1})
    assert hook.post(body) == (200, {"known": 1})
    assert enqueued(hook.gateway) == before + 1


def test_the_token_is_taken_wherever_a_store_can_put_it(make_hook: MakeHook) -> None:
    hook = make_hook()
    basic = base64.b64encode(f"any:{hook.token}".encode()).decode()

    for headers in (
        {"Authorization": f"Bearer {hook.token}"},
        {"Authorization": hook.token},
        {"Authorization": f"Basic {basic}"},
        {"X-Lightswitch-Token": hook.token},
    ):
        assert hook.post(event(uuid.uuid4().hex), **headers)[0] == 200
    assert post(hook.gateway, f"{hook.path}?token={hook.token}", event("q"))[0] == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic wrong", "Basic 4pyT"])
def test_without_the_token_nothing_is_taken(make_hook: MakeHook, header: str) -> None:
    hook = make_hook()
    before = enqueued(hook.gateway)

    status, document = hook.post(event(), Authorization=header)

    assert status == 403
    assert hook.token not in json.dumps(document)
    assert enqueued(hook.gateway) == before


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"Records":[{}]}', "[" * 50_000])
def test_a_malformed_body_is_refused_and_leaves_nothing(make_hook: MakeHook, body: str) -> None:
    hook = make_hook()
    before = enqueued(hook.gateway)

    assert hook.post(body)[0] == 400
    assert enqueued(hook.gateway) == before


def test_an_oversized_body_is_refused_and_leaves_nothing(make_hook: MakeHook) -> None:
    hook = make_hook()
    before = enqueued(hook.gateway)

    assert hook.post(event("x" * 1_100_000))[0] == 413
    assert enqueued(hook.gateway) == before


def test_stores_may_ask_whether_somebody_is_there(make_hook: MakeHook) -> None:
    hook = make_hook()

    assert post(hook.gateway, hook.path, "", method="HEAD") == (200, None)
    with urllib.request.urlopen(urllib.request.Request(f"{hook.gateway.url}/", method="HEAD")) as origin:
        assert origin.status == 200
    assert hook.post('{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"photos"}') == (200, {})


def test_what_the_trigger_does_not_want_is_answered_and_ignored(make_hook: MakeHook) -> None:
    hook = make_hook(prefix="in/", suffix=".jpg")

    assert hook.post(event("in%2Fa.jpg", bucket="videos")) == (200, {"ignored": 1})
    assert hook.post(event("out%2Fa.jpg")) == (200, {"ignored": 1})
    assert hook.post(event("in%2Fa.png")) == (200, {"ignored": 1})
    assert hook.post(event("in%2Fa.jpg", name="s3:ObjectRemoved:Delete")) == (200, {"ignored": 1})
    assert hook.post(event("in%2Fa.jpg")) == (200, {"sent": 1})


def test_a_disabled_trigger_asks_to_post_again(make_hook: MakeHook) -> None:
    hook = make_hook()
    endpoint(hook.gateway).send("PUT", f"/triggers/{hook.shown['id']}", {"enabled": False})

    assert hook.post(event("later"))[0] == 503

    endpoint(hook.gateway).send("PUT", f"/triggers/{hook.shown['id']}", {"enabled": True})
    assert hook.post(event("later")) == (200, {"sent": 1})


def test_a_trigger_that_is_gone_takes_nothing(make_hook: MakeHook) -> None:
    hook = make_hook()
    endpoint(hook.gateway).send("DELETE", f"/triggers/{hook.shown['id']}")

    assert hook.post(event())[0] == 404


def test_the_token_is_shown_when_it_is_made_and_where_it_is_asked_for(make_hook: MakeHook) -> None:
    hook = make_hook()
    ours = endpoint(hook.gateway)
    path = f"/triggers/{hook.shown['id']}"

    assert hook.token not in json.dumps([ours.get(path), ours.get("/triggers", limit=1000)])
    assert ours.get(path, secrets="true")["settings"]["token"] == hook.token


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "bucket"),
        ({"bucket": "b"}, "bucket"),
        ({"bucket": "photos", "endpoint_url": "ftp://x"}, "endpoint_url"),
        ({"bucket": "photos", "events": []}, "events"),
        ({"bucket": "photos", "events": ["ObjectCreated"]}, "event type"),
        ({"bucket": "photos", "scan_seconds": 0.1}, "scan_seconds"),
        ({"bucket": "photos", "token": "short"}, "token"),
        ({"bucket": "photos", "colour": "red"}, "colour"),
    ],
)
def test_wrong_settings_are_told(
    gateway: RunningGateway, create: Callable[..., Any], name: str, settings: Any, words: str
) -> None:
    create()

    with pytest.raises(DeployError, match=words):
        add_trigger(gateway, "object_store", name, **settings)
