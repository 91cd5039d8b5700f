"""What a topic posts to its HTTP subscribers, read and signed as SNS does.

Source: Amazon SNS developer guide, "Parsing message formats" and "Verifying the signatures of Amazon SNS
messages".
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from broker.foreign_json import UNREADABLE
from triggers.events.sns import Notification

Type = Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]

_NOTIFICATION_FIELDS = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION_FIELDS = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {"1": hashes.SHA1, "2": hashes.SHA256}

_Url = Annotated[str, msgspec.Meta(max_length=4096)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class MalformedMessage(Exception):
    """The body is no message of a topic; the text says why."""


class Forged(Exception):
    """The message cannot be shown to come from its topic; the text says why."""


class TopicMessage(msgspec.Struct, frozen=True, rename="pascal"):
    """A message as posted. Texts are what was signed, unchanged."""

    type: Type
    message_id: _Id
    topic_arn: _Id
    message: str
    timestamp: str
    signature_version: Literal["1", "2"]
    signature: str
    signing_cert_url: _Url = msgspec.field(name="SigningCertURL")
    subject: str | None = None
    token: str | None = None
    subscribe_url: _Url | None = msgspec.field(default=None, name="SubscribeURL")
    unsubscribe_url: _Url = msgspec.field(default="", name="UnsubscribeURL")
    message_attributes: msgspec.Raw = msgspec.Raw(b"{}")

    @property
    def time_ms(self) -> int:
        """When it was published. Raises MalformedMessage."""
        try:
            moment = datetime.fromisoformat(self.timestamp)
        except ValueError:
            raise MalformedMessage(f"Timestamp {self.timestamp[:40]!r} is no time") from None
        if moment.tzinfo is None:
            raise MalformedMessage(f"Timestamp {self.timestamp[:40]!r} has no zone")
        return round(moment.timestamp() * 1000)

    def notification(self) -> Notification:
        """As the function will see it."""
        return Notification(
            message_id=self.message_id,
            topic_arn=self.topic_arn,
            message=self.message,
            timestamp=self.timestamp,
            subject=self.subject,
            signature_version=self.signature_version,
            signature=self.signature,
            certificate_url=self.signing_cert_url,
            unsubscribe_url=self.unsubscribe_url,
            attributes=self.message_attributes,
        )


_decode = msgspec.json.Decoder(TopicMessage).decode


def read(body: bytes) -> TopicMessage:
    """Raises MalformedMessage."""
    try:
        message = _decode(body)
    except UNREADABLE as error:
        raise MalformedMessage(f"the body is no message of a topic: {error}") from error
    if message.type != "Notification" and not (message.token and message.subscribe_url):
        raise MalformedMessage(f"a {message.type} needs Token and SubscribeURL")
    return message


def string_to_sign(message: TopicMessage) -> bytes:
    """`Key\\nValue\\n` of each signed field, by name; a Subject that is missing is left out."""
    values = {
        "Message": message.message,
        "MessageId": message.message_id,
        "Subject": message.subject,
        "SubscribeURL": message.subscribe_url,
        "Timestamp": message.timestamp,
        "Token": message.token,
        "TopicArn": message.topic_arn,
        "Type": message.type,
    }
    fields = _NOTIFICATION_FIELDS if message.type == "Notification" else _CONFIRMATION_FIELDS
    return "".join(f"{name}\n{values[name]}\n" for name in fields if values[name] is not None).encode()


def check_signature(message: TopicMessage, key: rsa.RSAPublicKey) -> None:
    """Version 1 is RSA with SHA-1, version 2 with SHA-256. Raises Forged."""
    try:
        signature = base64.b64decode(message.signature, validate=True)
        algorithm = _HASHES[message.signature_version]()
        key.verify(signature, string_to_sign(message), padding.PKCS1v15(), algorithm)
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise Forged(f"the signature of message {message.message_id} is not its topic's") from error
