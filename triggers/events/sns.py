"""SNS's event, as a function subscribed to a topic receives it.

Source: AWS Lambda developer guide, "Invoking Lambda functions with Amazon SNS notifications". A subscribed
function gets `SigningCertUrl` and `UnsubscribeUrl`, an HTTP endpoint `SigningCertURL` and `UnsubscribeURL`.
"""

from __future__ import annotations

import msgspec


class Notification(msgspec.Struct, frozen=True):
    """One message of a topic. `attributes` is the JSON object of MessageAttributes as it came."""

    message_id: str
    topic_arn: str
    message: str
    timestamp: str
    subject: str | None = None
    signature_version: str = "1"
    signature: str = ""
    certificate_url: str = ""
    unsubscribe_url: str = ""
    attributes: msgspec.Raw = msgspec.Raw(b"{}")


def event(notification: Notification, subscription_arn: str) -> bytes:
    """The JSON document that the function receives: one record."""
    sns = {
        "Type": "Notification",
        "MessageId": notification.message_id,
        "TopicArn": notification.topic_arn,
        "Subject": notification.subject,
        "Message": notification.message,
        "Timestamp": notification.timestamp,
        "SignatureVersion": notification.signature_version,
        "Signature": notification.signature,
        "SigningCertUrl": notification.certificate_url,
        "UnsubscribeUrl": notification.unsubscribe_url,
        "MessageAttributes": notification.attributes,
    }
    record = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription_arn,
        "Sns": sns,
    }
    return msgspec.json.encode({"Records": [record]})
