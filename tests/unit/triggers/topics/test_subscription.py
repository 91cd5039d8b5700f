"""What is taken of what is posted to a topic's endpoint, and which hosts are asked for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aws_lambda_powertools.utilities.data_classes import SNSEvent

from broker.caller import Target, Trace
from broker.claims import MemoryClaims
from broker.errors import BrokerUnavailable
from broker.trigger_store.model import TriggerRecord
from tests.topic_signer import TOPIC, Signer, certificate
from triggers.topics.certificates import Certificates
from triggers.topics.messages import Forged, MalformedMessage
from triggers.topics.settings import TopicSettings
from triggers.topics.subscription import InProgress, Subscription

AWS_CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"
TOKEN = "a-token-of-enough-length"
HEADERS = {"x-amz-sns-subscription-arn": f"{TOPIC}:sub"}


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


class World:
    """A subscription whose requests and events are kept."""

    def __init__(self, signer: Signer) -> None:
        self.asked: list[str] = []
        self.sent: list[bytes] = []
        self.traces: list[str] = []
        self.served = signer.certificate
        self.broken = False
        self.claims = MemoryClaims()
        self.subscription = Subscription(self, self.claims, Certificates(self.fetch), self.fetch)

    async def fetch(self, url: str, ca_file: str) -> bytes:
        self.asked.append(url)
        return self.served

    async def send(self, target: Target, payload: bytes, *, trace: Trace) -> str:
        if self.broken:
            raise BrokerUnavailable("away")
        self.traces.append(trace.header)
        self.sent.append(payload)
        return "id"

    async def post(
        self, body: bytes, token: str = "", headers: Any = HEADERS, secret: str = TOKEN, **settings: Any
    ) -> str:
        made = TopicSettings(**{"topic_arns": (TOPIC,), "token": secret, **settings})
        record = TriggerRecord("t", "topic", "f", msgspec.Raw(b"{}"))
        return await self.subscription.receive(record, made, headers, token, body)


@pytest.fixture
def world(signer: Signer) -> World:
    return World(signer)


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_signed_message_becomes_the_event_that_functions_know(
    world: World, signer: Signer, version: str
) -> None:
    assert await world.post(signer.sign(AWS_CERTIFICATE, version=version, Subject="Hi")) == "accepted"

    record = SNSEvent(json.loads(world.sent[0])).record
    assert record.event_source == "aws:sns"
    assert record.event_version == "1.0"
    assert record.event_subscription_arn == f"{TOPIC}:sub"
    assert record.sns.message == "hello"
    assert record.sns.subject == "Hi"
    assert record.sns.message_id == "m-1"
    assert record.sns.topic_arn == TOPIC
    assert record.sns.get_type == "Notification"
    assert record.sns.signature_version == version
    assert record.sns.signing_cert_url == AWS_CERTIFICATE
    assert record.sns.message_attributes == {}


async def test_the_trace_of_a_message_goes_on_with_its_event(world: World, signer: Signer) -> None:
    traced = {**HEADERS, "x-amzn-trace-id": "Root=1;Lineage=a87bd80c:1"}
    await world.post(signer.sign(AWS_CERTIFICATE), headers=traced)
    assert world.traces == ["Root=1;Lineage=a87bd80c:1"]


async def test_the_certificate_is_fetched_once(world: World, signer: Signer) -> None:
    for number in range(3):
        await world.post(signer.sign(AWS_CERTIFICATE, MessageId=f"m-{number}"))

    assert world.asked == [AWS_CERTIFICATE]
    assert len(world.sent) == 3


async def test_a_message_is_taken_once(world: World, signer: Signer) -> None:
    body = signer.sign(AWS_CERTIFICATE)

    assert [await world.post(body), await world.post(body)] == ["accepted", "duplicate"]
    assert len(world.sent) == 1


async def test_a_message_that_could_not_be_enqueued_may_come_again(world: World, signer: Signer) -> None:
    body = signer.sign(AWS_CERTIFICATE)
    world.broken = True
    with pytest.raises(BrokerUnavailable):
        await world.post(body)
    world.broken = False

    assert await world.post(body) == "accepted"


async def test_a_message_that_another_gateway_has_in_hand_is_to_come_again(
    world: World, signer: Signer
) -> None:
    await world.claims.claim("topic:t", f"{TOPIC} m-1", 60)

    with pytest.raises(InProgress):
        await world.post(signer.sign(AWS_CERTIFICATE))


@pytest.mark.parametrize("field", ["Message", "MessageId", "Subject", "Timestamp"])
async def test_a_changed_message_is_refused(world: World, signer: Signer, field: str) -> None:
    document = json.loads(signer.sign(AWS_CERTIFICATE, Subject="Hi"))
    document[field] = datetime.now(UTC).isoformat() if field == "Timestamp" else "other"

    with pytest.raises(Forged, match="signature"):
        await world.post(json.dumps(document).encode())
    assert world.sent == []


async def test_another_signer_is_refused(world: World) -> None:
    with pytest.raises(Forged, match="signature"):
        await world.post(Signer().sign(AWS_CERTIFICATE))
    assert world.sent == []


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/cert.pem",
        "http://sns.us-east-1.amazonaws.com/cert.pem",
        "https://sns.us-east-1.amazonaws.com.evil.example/cert.pem",
        "https://evil.example/sns.us-east-1.amazonaws.com/cert.pem",
        "https://sns.us-east-1.amazonaws.com@evil.example/cert.pem",
        "https://evil.example#sns.us-east-1.amazonaws.com",
        "https://sns.us-east-1.amazonaws.com:8443/cert.pem",
        "https://s3.amazonaws.com/bucket/cert.pem",
        "https://127.0.0.1/cert.pem",
        "https://[::1",
        "file:///etc/passwd",
        "",
    ],
)
async def test_no_request_goes_to_a_host_that_is_not_on_the_list(
    world: World, signer: Signer, url: str
) -> None:
    with pytest.raises(Forged, match="SigningCertURL"):
        await world.post(signer.sign(url))
    assert world.asked == []
    assert world.sent == []


async def test_an_operators_list_replaces_awss(world: World, signer: Signer) -> None:
    url = "https://topics.internal:8443/cert.pem"
    trusted: Any = {"trusted_hosts": ("topics.internal:8443",)}

    assert await world.post(signer.sign(url), **trusted) == "accepted"
    with pytest.raises(Forged):
        await world.post(signer.sign(AWS_CERTIFICATE), **trusted)


async def test_a_subscription_confirms_itself(world: World, signer: Signer) -> None:
    subscribe = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=abc"
    body = signer.sign(AWS_CERTIFICATE, Type="SubscriptionConfirmation", Token="abc", SubscribeURL=subscribe)

    assert await world.post(body) == "confirmed"
    assert world.asked == [AWS_CERTIFICATE, subscribe]
    assert world.sent == []


async def test_a_confirmation_leads_nowhere_else(world: World, signer: Signer) -> None:
    body = signer.sign(
        AWS_CERTIFICATE, Type="SubscriptionConfirmation", Token="t", SubscribeURL="https://evil.example/"
    )

    with pytest.raises(Forged, match="SubscribeURL"):
        await world.post(body)
    assert world.asked == [AWS_CERTIFICATE]


async def test_an_unsubscription_is_noted_and_not_undone(world: World, signer: Signer) -> None:
    subscribe = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"
    body = signer.sign(AWS_CERTIFICATE, Type="UnsubscribeConfirmation", Token="t", SubscribeURL=subscribe)

    assert await world.post(body) == "unsubscribed"
    assert world.asked == [AWS_CERTIFICATE]


async def test_other_topics_are_refused_before_anything_is_fetched(world: World, signer: Signer) -> None:
    with pytest.raises(Forged, match="topic"):
        await world.post(signer.sign(AWS_CERTIFICATE, TopicArn=f"{TOPIC}-2"))
    assert world.asked == []


@pytest.mark.parametrize("minutes", [-61, 6])
async def test_old_and_future_messages_are_refused(world: World, signer: Signer, minutes: int) -> None:
    moment = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()

    with pytest.raises(Forged, match="old"):
        await world.post(signer.sign(AWS_CERTIFICATE, Timestamp=moment))
    assert world.asked == []


async def test_an_expired_certificate_is_refused(world: World, signer: Signer) -> None:
    world.served = certificate("sns.test", signer.key, "topics", signer.key, days=-1)

    with pytest.raises(Forged, match="not valid"):
        await world.post(signer.sign(AWS_CERTIFICATE))


async def test_what_is_no_certificate_is_refused(world: World, signer: Signer) -> None:
    world.served = b"<html>"

    with pytest.raises(Forged, match="certificate"):
        await world.post(signer.sign(AWS_CERTIFICATE))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"Type":"Other"}', b"\xff", b"[" * 100_000], ids=range(7)
)
async def test_what_is_no_message_is_refused(world: World, body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        await world.post(body)


RAW = {
    "x-amz-sns-rawdelivery": "true",
    "x-amz-sns-topic-arn": TOPIC,
    "x-amz-sns-message-id": "raw-1",
}


async def test_a_raw_message_is_taken_for_its_token(world: World) -> None:
    assert await world.post(b"plain", TOKEN, RAW, raw_delivery=True) == "accepted"
    assert await world.post(b"plain", TOKEN, RAW, raw_delivery=True) == "duplicate"

    [record] = json.loads(world.sent[0])["Records"]
    assert record["Sns"]["Message"] == "plain"
    assert record["Sns"]["MessageId"] == "raw-1"
    assert record["Sns"]["Subject"] is None


@pytest.mark.parametrize(
    ("token", "headers", "raw_delivery"),
    [
        ("", RAW, True),
        ("another-token-of-some-length", RAW, True),
        (TOKEN, RAW, False),
        (TOKEN, {**RAW, "x-amz-sns-topic-arn": "arn:aws:sns:us-east-1:1:other"}, True),
    ],
)
async def test_other_raw_messages_are_refused(
    world: World, token: str, headers: dict[str, str], raw_delivery: bool
) -> None:
    with pytest.raises(Forged):
        await world.post(b"plain", token, headers, raw_delivery=raw_delivery, secret=TOKEN)
    assert world.sent == []
