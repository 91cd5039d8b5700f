"""`lightswitch trigger add object-store|topic` and `trigger list`: what they print."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from broker.trigger_store.model import TriggerStatus
from deploy.cli import run
from tests.integration.gateway.conftest import KEY, RunningGateway
from tests.topic_signer import TOPIC

Printed = tuple[int, str, str]
Lightswitch = Callable[..., Printed]


@pytest.fixture
def lightswitch(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Lightswitch:
    """Run a command against the gateway: exit status, stdout, stderr."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY.secret_access_key)

    def call(*arguments: str) -> Printed:
        status = run([*arguments, "--endpoint-url", gateway.url])
        return (status, *capsys.readouterr())

    return call


@pytest.fixture
def function(create: Callable[..., Any], name: str) -> str:
    create()
    return name


def test_a_bucket_is_watched(lightswitch: Lightswitch, gateway: RunningGateway, function: str) -> None:
    status, out, err = lightswitch(
        "trigger", "add", "object-store", "photos", "--function", function, "--prefix", "in/",
        "--suffix", ".jpg", "--events", "s3:ObjectCreated:Put", "--events", "s3:ObjectRemoved:*",
        "--scan-seconds", "5", "--existing-objects", "--store-url", "http://127.0.0.1:7070",
    )  # fmt: skip

    assert status == 0
    trigger_id = out.strip()
    assert f"webhook  {gateway.url}/lightswitch/hooks/object-store/{trigger_id}\n" in err
    _, shown, _ = lightswitch("trigger", "show", trigger_id, "--secrets")
    settings = json.loads(shown)["settings"]
    assert f"token    {settings.pop('token')}\n" in err
    assert settings == {
        "bucket": "photos",
        "endpoint_url": "http://127.0.0.1:7070",
        "prefix": "in/",
        "suffix": ".jpg",
        "events": ["s3:ObjectCreated:Put", "s3:ObjectRemoved:*"],
        "scan_seconds": 5.0,
        "existing_objects": True,
        "key_encoding": "auto",
    }


def test_a_store_that_pushes_all_is_not_scanned(lightswitch: Lightswitch, function: str) -> None:
    arguments = ("trigger", "add", "object-store", "photos", "--function", function, "--no-scan")
    _, out, _ = lightswitch(*arguments)

    _, shown, _ = lightswitch("trigger", "show", out.strip())
    assert json.loads(shown)["settings"]["scan_seconds"] == 0
    status, _, err = lightswitch(*arguments, "--scan-seconds", "3")
    assert status == 2
    assert "--no-scan" in err


def test_a_topic_is_listened_to(lightswitch: Lightswitch, gateway: RunningGateway, function: str) -> None:
    status, out, err = lightswitch(
        "trigger", "add", "topic", TOPIC, "--function", function, "--trusted-host", "topics.test:8443"
    )

    assert status == 0
    assert err == f"endpoint {gateway.url}/lightswitch/hooks/topic/{out.strip()}\n"
    _, shown, _ = lightswitch("trigger", "show", out.strip())
    assert json.loads(shown)["settings"]["trusted_hosts"] == ["topics.test:8443"]


def test_a_raw_subscription_needs_its_token_in_the_url(lightswitch: Lightswitch, function: str) -> None:
    _, out, err = lightswitch("trigger", "add", "topic", TOPIC, "--function", function, "--raw-delivery")

    _, shown, _ = lightswitch("trigger", "show", out.strip(), "--secrets")
    assert err.strip().endswith(f"?token={json.loads(shown)['settings']['token']}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("object-store", "_"), "bucket"),
        (("topic", "news"), "no topic's ARN"),
        (("topic", TOPIC, "--trusted-host", "https://x/"), "trusted_hosts"),
    ],
)
def test_wrong_settings_are_told_in_one_line(
    lightswitch: Lightswitch, function: str, arguments: tuple[str, ...], words: str
) -> None:
    status, _, err = lightswitch("trigger", "add", *arguments, "--function", function)

    assert status == 1
    assert words in err
    assert err.count("\n") == 1


def test_triggers_that_nothing_is_known_of_yet_are_listed(
    lightswitch: Lightswitch, gateway: RunningGateway, function: str
) -> None:
    _, route, _ = lightswitch("trigger", "add", "route", "GET /listed/{id}", "--function", function)
    _, tick, _ = lightswitch("trigger", "add", "schedule", "rate(1 hour)", "--function", function)
    gateway.run(gateway.triggers.put_statuses({tick.strip(): TriggerStatus("running")}))

    status, listed, _ = lightswitch("trigger", "list", "--function", function)

    assert status == 0
    assert sorted(line.split("\t") for line in listed.splitlines()) == sorted(
        [
            [route.strip(), "route", function, "yes", "", ""],
            [tick.strip(), "schedule", function, "yes", "running", ""],
        ]
    )
