"""What stores post: their envelopes, brought to one form.

All are shaped like S3's notification and differ from it, each in its own way:

    AWS, moto        as documented; keys are form-encoded
    MinIO, AIStor    eventName starts with `s3:`, eventSource `minio:s3`; the envelope adds EventName and Key
    RustFS           as MinIO's, eventSource `rustfs:s3`
    Ceph RGW         eventSource `ceph:s3`, an ARN with a region, the size is a string, the key comes raw
    versitygw        eventSource `aws:s3`, the bucket's ARN holds the object's path, the key comes raw
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import unquote_plus

import msgspec

from broker.foreign_json import UNREADABLE
from triggers.events.s3 import DEFAULT_VERSION, ObjectChange

KeyEncoding = Literal["auto", "url", "raw"]
"""How a store writes keys; `auto` knows the stores above."""

MOST_RECORDS = 1000
LONGEST_KEY_BYTES = 1024
_EVENT_NAME = re.compile(r"[A-Za-z]{1,40}(:[A-Za-z]{1,60}){0,2}")

_ShortText = Annotated[str, msgspec.Meta(max_length=2048)]


class MalformedEvent(Exception):
    """The body is no event of an object store; the text says why."""


class StoreEvent(msgspec.Struct, frozen=True):
    """One change of one bucket."""

    bucket: str
    change: ObjectChange


class _Identity(msgspec.Struct, rename={"principal_id": "principalId"}):
    principal_id: _ShortText = ""


class _Request(msgspec.Struct, rename={"source_ip": "sourceIPAddress"}):
    source_ip: _ShortText = ""


class _Response(msgspec.Struct, rename={"request_id": "x-amz-request-id", "host_id": "x-amz-id-2"}):
    request_id: _ShortText = ""
    host_id: _ShortText = ""


class _Bucket(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    arn: str = ""


class _Object(msgspec.Struct, rename="camel"):
    key: Annotated[str, msgspec.Meta(min_length=1)]
    size: int | str | None = None
    e_tag: _ShortText | None = None
    etag: _ShortText | None = None  # older Ceph
    version_id: _ShortText | None = None
    sequencer: _ShortText | None = None


class _S3(msgspec.Struct):
    bucket: _Bucket
    object: _Object


class _Record(msgspec.Struct, rename="camel"):
    event_name: str
    s3: _S3
    event_time: str = ""
    event_version: str = DEFAULT_VERSION
    event_source: str = ""
    user_identity: _Identity | None = None
    request_parameters: _Request | None = None
    response_elements: _Response | None = None


class _Envelope(msgspec.Struct):
    records: list[_Record] | None = msgspec.field(default=None, name="Records")
    event: str = msgspec.field(default="", name="Event")
    path: str | None = msgspec.field(default=None, name="Key")


_decode = msgspec.json.Decoder(_Envelope, strict=True).decode


def read(body: bytes, received_ms: int, key_encoding: KeyEncoding = "auto") -> list[StoreEvent]:
    """The changes that a body tells of; none for a test event. Raises MalformedEvent."""
    envelope = _parse(body)
    if envelope.records is None:
        if envelope.event.endswith("TestEvent"):
            return []
        raise MalformedEvent("the body has no Records, and is no test event either")
    if len(envelope.records) > MOST_RECORDS:
        raise MalformedEvent(f"the body has {len(envelope.records)} Records; at most {MOST_RECORDS} are read")
    return [_event(record, envelope.path, received_ms, key_encoding) for record in envelope.records]


def _parse(body: bytes) -> _Envelope:
    if not body:
        raise MalformedEvent("the body is empty")
    try:
        return _decode(body)
    except UNREADABLE as error:
        raise MalformedEvent(f"the body is no event of an object store: {error}") from error


def _event(record: _Record, path: str | None, received_ms: int, encoding: KeyEncoding) -> StoreEvent:
    name = record.event_name.removeprefix("s3:")
    if not _EVENT_NAME.fullmatch(name):
        raise MalformedEvent(f"eventName {record.event_name[:100]!r} is none")
    found, identity = record.s3.object, record.user_identity or _Identity()
    response = record.response_elements or _Response()
    change = ObjectChange(
        event_name=name,
        key=_key(record, path, encoding),
        time_ms=_time_ms(record.event_time, received_ms),
        size_bytes=_size(found.size),
        etag=(found.e_tag or found.etag or "").strip('"'),
        version_id=found.version_id or "",
        sequencer=found.sequencer or "",
        event_version=record.event_version,
        principal_id=identity.principal_id,
        source_ip=(record.request_parameters or _Request()).source_ip,
        request_id=response.request_id,
        host_id=response.host_id,
    )
    return StoreEvent(record.s3.bucket.name, change)


def _key(record: _Record, path: str | None, encoding: KeyEncoding) -> str:
    written = record.s3.object.key
    key = unquote_plus(written) if _is_encoded(record, path, encoding) else written
    if len(key.encode("utf-8", "replace")) > LONGEST_KEY_BYTES:
        raise MalformedEvent(f"the key has more than {LONGEST_KEY_BYTES} bytes")
    return key


def _is_encoded(record: _Record, path: str | None, encoding: KeyEncoding) -> bool:
    if encoding != "auto":
        return encoding == "url"
    bucket, written = record.s3.bucket, record.s3.object.key
    if path is not None and path.startswith(f"{bucket.name}/"):
        # The envelope's Key is as the object is called: where it differs from the record's, that is encoded.
        return path != f"{bucket.name}/{written}" or unquote_plus(written) == written
    raw = record.event_source == "ceph:s3" or "/" in bucket.arn
    return not raw


def _time_ms(text: str, received_ms: int) -> int:
    """A time that cannot be read is when it came."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return received_ms
    plausible = moment.tzinfo is not None and 1970 < moment.year < 9999
    return round(moment.timestamp() * 1000) if plausible else received_ms


def _size(value: int | str | None) -> int | None:
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None
    return value
