"""Is what a webhook tells new? The rules by which webhooks and scans agree on what has been seen.

A scan knows an object by its ETag and its time; a webhook also by the store's sequencer. The same content
put again is a new event to a webhook and invisible to a scan.
"""

from __future__ import annotations

from broker.object_states.model import ObjectState, tag_of
from triggers.events.s3 import ObjectChange

SLACK_MS = 2_000
"""Times of listings and of events may be this far apart and mean one change: many are in whole seconds."""

LATE_MS = 900_000
"""For so long after a change a webhook that repeats it is recognised, whatever a scan has seen since."""


def state_of(change: ObjectChange) -> ObjectState:
    """What a creation or removal leaves behind."""
    tag = tag_of(change.etag) if change.created else b""
    return ObjectState(change.created, tag, change.time_ms, change.sequencer)


def is_known(change: ObjectChange, state: ObjectState | None) -> bool:
    """Whether this very change has been seen; `state` is what is known of its object."""
    if state is None or state.present is not change.created:
        return False
    if change.created and change.etag and state.tag and tag_of(change.etag) != state.tag:
        return False
    if change.sequencer and state.sequencer:
        return change.sequencer == state.sequencer
    return change.time_ms <= state.time_ms + SLACK_MS


def outdates(change: ObjectChange, state: ObjectState | None) -> bool:
    """Whether the object is now as the change left it; False for an event that came late."""
    return state is None or change.time_ms + SLACK_MS >= state.time_ms
