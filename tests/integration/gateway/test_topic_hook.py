"""The endpoint that topics post to, with a signer, an authority and an HTTPS server of our own."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.gateway.conftest import RunningGateway
from tests.integration.gateway.hooks import add_trigger, enqueued, post
from tests.topic_signer import TOPIC, Signer, TopicServer

Post = Callable[[bytes], tuple[int, Any]]


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Iterator[TopicServer]:
    running = TopicServer(tmp_path_factory.mktemp("topic"), signer)
    yield running
    running.close()


@pytest.fixture
def active(create: Callable[..., Any], name: str, client: Any) -> str:
    """The name of a function that can be called."""
    create()
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    return name


@pytest.fixture
def to_topic(gateway: RunningGateway, active: str, server: TopicServer) -> Post:
    """Post to a trigger that trusts the server."""
    shown = add_trigger(
        gateway,
        "topic",
        active,
        topic_arns=[TOPIC],
        trusted_hosts=[server.host],
        ca_file=server.ca_file,
    )
    headers = {"x-amz-sns-message-type": "Notification", "content-type": "text/plain; charset=UTF-8"}
    return lambda body: post(gateway, f"/topic/{shown['id']}", body, headers)


def test_a_topic_is_subscribed_and_heard_once(
    gateway: RunningGateway, to_topic: Post, signer: Signer, server: TopicServer
) -> None:
    before = enqueued(gateway)
    certificate = f"{server.url}/certificate.pem"
    confirmation = signer.sign(
        certificate,
        Type="SubscriptionConfirmation",
        Token="t",
        SubscribeURL=f"{server.url}/?Action=ConfirmSubscription",
    )
    message = signer.sign(certificate, version="2", MessageId=uuid.uuid4().hex)

    assert to_topic(confirmation) == (200, {"result": "confirmed"})
    assert to_topic(message) == (200, {"result": "accepted"})
    assert to_topic(message) == (200, {"result": "duplicate"})
    assert server.asked == ["/certificate.pem", "/?Action=ConfirmSubscription"]
    assert enqueued(gateway) == before + 1


def test_a_forged_message_is_refused(
    gateway: RunningGateway, to_topic: Post, signer: Signer, server: TopicServer
) -> None:
    before = enqueued(gateway)
    forged = json.loads(signer.sign(f"{server.url}/certificate.pem")) | {"Message": "other"}

    assert to_topic(json.dumps(forged).encode())[0] == 403
    assert enqueued(gateway) == before


def test_a_server_that_is_not_on_the_list_is_never_asked(
    gateway: RunningGateway,
    to_topic: Post,
    signer: Signer,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    before = enqueued(gateway)
    foreign = TopicServer(tmp_path_factory.mktemp("foreign"), signer)
    try:
        status, _ = to_topic(signer.sign(f"{foreign.url}/certificate.pem"))
    finally:
        foreign.close()

    assert status == 403
    assert foreign.asked == []
    assert enqueued(gateway) == before


def test_a_redirect_is_not_followed(
    gateway: RunningGateway, to_topic: Post, signer: Signer, server: TopicServer
) -> None:
    before = enqueued(gateway)

    assert to_topic(signer.sign(f"{server.url}/redirect"))[0] == 502
    assert server.asked == ["/redirect"]
    assert enqueued(gateway) == before


def test_a_server_without_the_authoritys_word_is_not_believed(
    gateway: RunningGateway, active: str, signer: Signer, server: TopicServer
) -> None:
    shown = add_trigger(gateway, "topic", active, topic_arns=[TOPIC], trusted_hosts=[server.host])

    status, _ = post(gateway, f"/topic/{shown['id']}", signer.sign(f"{server.url}/certificate.pem"))

    assert status == 502
    assert server.asked == []


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"", 400), (b"x" * 2_200_000, 413)])
def test_malformed_and_oversized_messages_leave_nothing(
    gateway: RunningGateway, to_topic: Post, body: bytes, status: int
) -> None:
    before = enqueued(gateway)

    assert to_topic(body)[0] == status
    assert enqueued(gateway) == before


def test_a_raw_message_needs_the_token(gateway: RunningGateway, active: str) -> None:
    shown = add_trigger(gateway, "topic", active, topic_arns=[TOPIC], raw_delivery=True)
    token = shown["settings"]["token"]
    headers = {
        "x-amz-sns-rawdelivery": "true",
        "x-amz-sns-topic-arn": TOPIC,
        "x-amz-sns-message-id": uuid.uuid4().hex,
    }

    assert post(gateway, f"/topic/{shown['id']}", b"plain", headers)[0] == 403
    assert post(gateway, f"/topic/{shown['id']}?token={token}", b"plain", headers)[0] == 200
