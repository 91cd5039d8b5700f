"""What differs between a stretch of a bucket as listed and as known. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from broker.object_states.model import ObjectState, tag_of
from triggers.events.s3 import ObjectChange
from triggers.object_store.listing import Listed
from triggers.object_store.sightings import SLACK_MS

MOST_CHANGES = 200
"""How many objects are dealt with before that is written down: what a crash may run twice."""


class Difference(msgspec.Struct, frozen=True):
    """One object that is not as it is known: the change that this means, and what is known from then on."""

    change: ObjectChange
    state: ObjectState


def differences(
    listed: Sequence[Listed], known: Mapping[str, ObjectState], listed_ms: int, store_ms: int
) -> list[Difference]:
    """In the order of keys. `listed_ms` is when the listing began by the clock of notes: what was noted
    since is newer than the listing and no difference. `store_ms` is the same by the store's clock."""
    there = {found.key for found in listed}
    found = [
        Difference(_created(item), ObjectState(True, tag_of(item.etag), item.modified_ms))
        for item in listed
        if _is_news(item, known.get(item.key), listed_ms)
    ]
    gone = [
        Difference(ObjectChange("ObjectRemoved:Delete", key, store_ms), ObjectState(False, b"", store_ms))
        for key, state in known.items()
        if state.present and key not in there and state.noted_ms < listed_ms
    ]
    return sorted([*found, *gone], key=lambda difference: difference.change.key)


def _is_news(item: Listed, state: ObjectState | None, listed_ms: int) -> bool:
    if state is None:
        return True
    if state.noted_ms >= listed_ms:
        return False
    if not state.present:
        return True
    if not state.tag:  # a webhook that told no ETag
        return item.modified_ms > state.time_ms + SLACK_MS
    return tag_of(item.etag) != state.tag


def _created(item: Listed) -> ObjectChange:
    """S3 marks what was uploaded in parts by a hyphen in the ETag."""
    how = "CompleteMultipartUpload" if "-" in item.etag else "Put"
    return ObjectChange(
        event_name=f"ObjectCreated:{how}",
        key=item.key,
        time_ms=item.modified_ms,
        size_bytes=item.size_bytes,
        etag=item.etag,
    )
