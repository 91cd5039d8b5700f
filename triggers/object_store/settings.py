"""Settings of an `object_store` trigger: a bucket of any store that speaks S3's API."""

from __future__ import annotations

import re
import secrets
from typing import Self
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from triggers.interface import TriggerSettings
from triggers.object_store.envelopes import KeyEncoding
from triggers.object_store.filters import EVENT_TYPE, EVERY_CREATION

HIDDEN = "************************"
FEWEST_SCAN_SECONDS = 0.5
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


class ObjectStoreSettings(TriggerSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`endpoint_url`: the store; empty for the platform's own S3 endpoint. `events`: S3's types, with `*`.
    `scan_seconds`: pause between two comparisons of the whole bucket, 0 for none. `existing_objects`: what
    is there before the trigger counts as created. `token`: what webhooks must bring. `key_encoding`: how
    the store's webhooks write keys.
    """

    bucket: str
    endpoint_url: str = ""
    prefix: str = ""
    suffix: str = ""
    events: tuple[str, ...] = (EVERY_CREATION,)
    scan_seconds: float = 60.0
    existing_objects: bool = False
    key_encoding: KeyEncoding = "auto"
    token: str = msgspec.field(default_factory=lambda: secrets.token_urlsafe(24))

    def __post_init__(self) -> None:
        if not _BUCKET.fullmatch(self.bucket):
            raise ValueError(f"bucket {self.bucket!r} cannot be a bucket's name")
        if self.endpoint_url and urlsplit(self.endpoint_url).scheme not in ("http", "https"):
            raise ValueError(f"endpoint_url {self.endpoint_url!r} is neither http:// nor https://")
        if not self.events:
            raise ValueError(f"events is empty; name S3's event types, e.g. {EVERY_CREATION}")
        for kind in self.events:
            if not EVENT_TYPE.fullmatch(kind):
                raise ValueError(f"events: {kind!r} is no event type, such as {EVERY_CREATION}")
        if self.scan_seconds != 0 and not FEWEST_SCAN_SECONDS <= self.scan_seconds <= 604_800:
            raise ValueError(f"scan_seconds is {self.scan_seconds:g}; it must be 0, or 0.5 to 604800")
        if len(self.token) < 16:
            raise ValueError("token is too short; give at least 16 characters, or none to have one made")

    @property
    def place(self) -> str:
        """What is compared: another place has other objects."""
        return f"{self.endpoint_url} {self.bucket} {self.prefix} {self.suffix}"

    def masked(self) -> Self:
        return replace(self, token=HIDDEN)
