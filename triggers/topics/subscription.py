"""Takes what a topic posts: verify it, confirm the subscription, leave an event for the function once."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping
from typing import Protocol

from broker.caller import Target, Trace
from broker.claims import Claims
from broker.invocation import now_ms
from broker.trigger_store.model import TriggerRecord
from triggers.events import sns
from triggers.events.s3 import timestamp
from triggers.topics.certificates import Certificates, Fetch
from triggers.topics.messages import Forged, MalformedMessage, TopicMessage, check_signature, read
from triggers.topics.settings import TopicSettings
from triggers.topics.trusted_hosts import TrustedHosts

log = logging.getLogger(__name__)

AHEAD_MS = 300_000
"""How far a topic's clock may be ahead of ours."""

CLAIM_SECONDS = 60.0
"""How long the gateway that took a message has to leave its event; then another may."""

KEPT_MARGIN_SECONDS = 600.0
"""Message ids are remembered for longer than a message is accepted."""


class Sender(Protocol):
    """`broker.caller.Caller`, as far as it is needed here."""

    async def send(self, target: Target, payload: bytes, *, trace: Trace) -> str: ...


class InProgress(Exception):
    """Another gateway has this message in its hands; it is to be posted again if that one fails."""


class Subscription:
    """The subscriber behind all `topic` triggers of one gateway."""

    def __init__(self, sender: Sender, claims: Claims, certificates: Certificates, fetch: Fetch) -> None:
        self._sender = sender
        self._claims = claims
        self._certificates = certificates
        self._fetch = fetch

    async def receive(
        self,
        trigger: TriggerRecord,
        settings: TopicSettings,
        headers: Mapping[str, str],
        token: str,
        body: bytes,
    ) -> str:
        """Take one post; what was done, in words.

        `headers` have lower-case names; `token` is the query's. Raises MalformedMessage, Forged,
        FetchFailed, InProgress, and what sending raises. Where it raises nothing was enqueued.
        """
        if headers.get("x-amz-sns-rawdelivery", "").lower() == "true":
            return await self._take(trigger, settings, headers, _raw(settings, headers, token, body))
        message = read(body)
        await self._verify(message, settings)
        if message.type == "Notification":
            return await self._take(trigger, settings, headers, message.notification())
        if message.type == "SubscriptionConfirmation":
            return await self._confirm(message, settings)
        log.warning("topic_unsubscribed", extra={"trigger": trigger.id, "topic": message.topic_arn})
        return "unsubscribed"

    async def _verify(self, message: TopicMessage, settings: TopicSettings) -> None:
        """Everything that costs no request comes first."""
        _check_topic(message.topic_arn, settings)
        _check_time(message, settings)
        trusted = TrustedHosts(settings.trusted_hosts)
        trusted.check(message.signing_cert_url, "SigningCertURL")
        key = await self._certificates.key(message.signing_cert_url, settings.ca_file)
        check_signature(message, key)

    async def _confirm(self, message: TopicMessage, settings: TopicSettings) -> str:
        url = message.subscribe_url or ""
        TrustedHosts(settings.trusted_hosts).check(url, "SubscribeURL")
        await self._fetch(url, settings.ca_file)
        return "confirmed"

    async def _take(
        self,
        trigger: TriggerRecord,
        settings: TopicSettings,
        headers: Mapping[str, str],
        notification: sns.Notification,
    ) -> str:
        scope, name = f"topic:{trigger.id}", f"{notification.topic_arn} {notification.message_id}"
        claim = await self._claims.claim(scope, name, CLAIM_SECONDS)
        if claim == "done":
            return "duplicate"
        if claim == "busy":
            raise InProgress(f"message {notification.message_id} is being taken already")
        payload = sns.event(notification, headers.get("x-amz-sns-subscription-arn", ""))
        target = Target(trigger.function_name, trigger.qualifier)
        # Its lineage shows a function that publishes to the topic that calls it.
        trace = Trace(headers.get("x-amzn-trace-id", ""))
        try:
            await self._sender.send(target, payload, trace=trace)
        except BaseException:
            await self._claims.release(scope, name)
            raise
        await self._claims.keep(scope, name, settings.max_age_seconds + KEPT_MARGIN_SECONDS)
        return "accepted"


def _check_topic(arn: str, settings: TopicSettings) -> None:
    if arn not in settings.topic_arns:
        raise Forged(f"topic {arn[:200]!r} is not one that this trigger takes messages of")


def _check_time(message: TopicMessage, settings: TopicSettings) -> None:
    age_ms = now_ms() - message.time_ms
    if not -AHEAD_MS <= age_ms <= settings.max_age_seconds * 1000:
        raise Forged(f"the message is {age_ms / 1000:.0f} s old; at most {settings.max_age_seconds} s are")


def _raw(settings: TopicSettings, headers: Mapping[str, str], token: str, body: bytes) -> sns.Notification:
    """A raw message, which only its token speaks for. Raises Forged, MalformedMessage."""
    if not settings.raw_delivery:
        raise Forged("raw delivery is off for this trigger: raw messages carry no signature")
    if not hmac.compare_digest(token.encode(), settings.token.encode()):
        raise Forged("the token of a raw delivery is missing or wrong; subscribe the URL with ?token=TOKEN")
    arn, message_id = headers.get("x-amz-sns-topic-arn", ""), headers.get("x-amz-sns-message-id", "")
    _check_topic(arn, settings)
    if not 1 <= len(message_id) <= 256:
        raise MalformedMessage("x-amz-sns-message-id is missing")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise MalformedMessage(f"the message is not UTF-8: {error}") from error
    return sns.Notification(message_id, arn, text, timestamp(now_ms()))
