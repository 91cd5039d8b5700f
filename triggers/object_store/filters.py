"""Which changes a trigger wants: S3's event types with `*`, a prefix, a suffix."""

from __future__ import annotations

import re

EVENT_TYPE = re.compile(r"s3:[A-Za-z]+(:([A-Za-z]+|\*))?")
"""How S3 writes the types of a notification configuration: `s3:ObjectCreated:*`."""

EVERY_CREATION = "s3:ObjectCreated:*"
EVERY_REMOVAL = "s3:ObjectRemoved:*"


def wants_event(event_types: tuple[str, ...], event_name: str) -> bool:
    """Whether one of the types covers an event's name (without `s3:`)."""
    return any(_covers(kind.removeprefix("s3:"), event_name) for kind in event_types)


def wants_another(event_types: tuple[str, ...], created: bool) -> bool:
    """Whether some kind of creation, or of removal, is wanted."""
    families = ("s3:ObjectCreated:",) if created else ("s3:ObjectRemoved:", "s3:LifecycleExpiration:")
    return any(kind.startswith(families) for kind in event_types)


def wants_key(prefix: str, suffix: str, key: str) -> bool:
    """Whether a key is in the part of the bucket that the trigger looks at."""
    return key.startswith(prefix) and key.endswith(suffix)


def _covers(kind: str, event_name: str) -> bool:
    return event_name.startswith(kind[:-1]) if kind.endswith("*") else event_name == kind
