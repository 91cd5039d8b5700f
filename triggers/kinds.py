"""The kinds of triggers that are managed as triggers, and the settings of each.

Event source mappings are not here: they are managed through the Lambda API.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from triggers.http_api.settings import RouteSettings
from triggers.interface import TriggerSettings
from triggers.object_store.settings import ObjectStoreSettings
from triggers.queues.settings import QueueSettings
from triggers.schedules.settings import ScheduleSettings
from triggers.topics.settings import TopicSettings

KINDS: Mapping[str, type[TriggerSettings]] = {
    "object_store": ObjectStoreSettings,
    "topic": TopicSettings,
    "queue": QueueSettings,
    "route": RouteSettings,
    "schedule": ScheduleSettings,
}


class UnknownKind(ValueError):
    """No trigger of that kind is known."""


def read_settings(
    kind: str, settings: bytes | msgspec.Raw, kinds: Mapping[str, type[TriggerSettings]] = KINDS
) -> TriggerSettings:
    """The settings in a JSON object. Raises ValueError, saying what is wrong; UnknownKind."""
    if kind not in kinds:
        known = ", ".join(sorted(kinds)) or "none"
        raise UnknownKind(f"there are no triggers of kind {kind!r}; known: {known}")
    try:
        return msgspec.json.decode(settings, type=kinds[kind])
    except msgspec.ValidationError as error:
        raise ValueError(f"settings of the {kind} trigger: {error}") from error
    except msgspec.DecodeError as error:
        raise ValueError(f"settings of the {kind} trigger are no JSON object: {error}") from error
