"""S3's event notification, as a function behind a bucket receives it.

Source: Amazon S3 user guide, "Event message structure". One record to an event, as S3 sends it; the key is
encoded as in a form (a space is `+`), whatever the store that told of it did.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import quote_plus

import msgspec

DEFAULT_VERSION = "2.1"
_VERSION = re.compile(r"2\.[1-9]\d*")
_UNESCAPED = "/-_.*"


class ObjectChange(msgspec.Struct, frozen=True):
    """What happened to one object, as a store tells it or a scan finds it.

    `event_name` is without `s3:` (`ObjectCreated:Put`), `key` is as the object is called, `etag` without
    quotes. What is not known is empty, `size_bytes` None.
    """

    event_name: str
    key: str
    time_ms: int
    size_bytes: int | None = None
    etag: str = ""
    version_id: str = ""
    sequencer: str = ""
    event_version: str = DEFAULT_VERSION
    principal_id: str = ""
    source_ip: str = ""
    request_id: str = ""
    host_id: str = ""

    @property
    def created(self) -> bool:
        """The object is there now, new or overwritten."""
        return self.event_name.startswith("ObjectCreated:")

    @property
    def removed(self) -> bool:
        """The object is there no longer."""
        return self.event_name.startswith(("ObjectRemoved:", "LifecycleExpiration:"))


class Source(msgspec.Struct, frozen=True):
    """Where it happened. `configuration_id` names the notification: the trigger's id."""

    bucket: str
    region: str
    configuration_id: str
    owner_id: str = ""


def notification(change: ObjectChange, source: Source) -> bytes:
    """The JSON document that the function receives."""
    return msgspec.json.encode({"Records": [_record(change, source)]})


def encode_key(key: str) -> str:
    """A key as events carry it."""
    return quote_plus(key, safe=_UNESCAPED)


def _record(change: ObjectChange, source: Source) -> dict[str, object]:
    version = change.event_version if _VERSION.fullmatch(change.event_version) else DEFAULT_VERSION
    return {
        "eventVersion": version,
        "eventSource": "aws:s3",
        "awsRegion": source.region,
        "eventTime": timestamp(change.time_ms),
        "eventName": change.event_name,
        "userIdentity": {"principalId": change.principal_id},
        "requestParameters": {"sourceIPAddress": change.source_ip},
        "responseElements": {"x-amz-request-id": change.request_id, "x-amz-id-2": change.host_id},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": source.configuration_id,
            "bucket": {
                "name": source.bucket,
                "ownerIdentity": {"principalId": source.owner_id},
                "arn": f"arn:aws:s3:::{source.bucket}",
            },
            "object": _object(change),
        },
    }


def _object(change: ObjectChange) -> dict[str, object]:
    """Without what is not there: events of removals have neither size nor ETag."""
    members: dict[str, object] = {"key": encode_key(change.key)}
    if change.size_bytes is not None and not change.removed:
        members["size"] = change.size_bytes
    if change.etag and not change.removed:
        members["eTag"] = change.etag
    if change.version_id:
        members["versionId"] = change.version_id
    members["sequencer"] = change.sequencer or f"{change.time_ms * 1_000_000:016X}"
    return members


def timestamp(time_ms: int) -> str:
    """Epoch milliseconds as AWS writes them."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
