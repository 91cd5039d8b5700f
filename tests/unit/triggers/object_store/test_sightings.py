"""When webhooks and scans tell the same, and when they do not."""

from __future__ import annotations

from broker.object_states.model import ObjectState, pack, tag_of, unpack
from triggers.events.s3 import ObjectChange
from triggers.object_store.comparison import differences
from triggers.object_store.filters import wants_event, wants_key
from triggers.object_store.listing import Listed
from triggers.object_store.sightings import is_known, outdates, state_of

T = 1_700_000_000_000


def put(etag: str = "e1", time_ms: int = T, sequencer: str = "") -> ObjectChange:
    return ObjectChange("ObjectCreated:Put", "k", time_ms, etag=etag, sequencer=sequencer)


def delete(time_ms: int = T) -> ObjectChange:
    return ObjectChange("ObjectRemoved:Delete", "k", time_ms)


def test_what_a_scan_found_is_known_to_the_webhook_that_comes_later() -> None:
    found = ObjectState(True, tag_of("e1"), T)

    assert is_known(put(time_ms=T + 900), found)
    assert not is_known(put("e2", T + 900), found)
    assert not is_known(delete(T + 5000), found)


def test_a_webhook_that_is_sent_again_is_known() -> None:
    assert is_known(put(sequencer="A"), state_of(put(sequencer="A")))


def test_the_same_content_put_again_is_new() -> None:
    assert not is_known(put(time_ms=T + 60_000), state_of(put()))
    assert not is_known(put(time_ms=T + 100, sequencer="B"), state_of(put(sequencer="A")))


def test_a_removal_that_a_scan_found_is_known_to_the_late_webhook() -> None:
    gone = ObjectState(False, b"", T + 30_000)

    assert is_known(delete(T), gone)
    assert not is_known(put(time_ms=T + 40_000), gone)


def test_an_event_that_comes_late_does_not_outdate_what_is_newer() -> None:
    newer = state_of(put("e2", T + 60_000))

    assert not is_known(put("e1", T), newer)
    assert not outdates(put("e1", T), newer)
    assert outdates(put("e3", T + 90_000), newer)


def test_nothing_known_is_no_sighting() -> None:
    assert not is_known(put(), None)
    assert outdates(put(), None)


def listed(key: str, etag: str = "e1", modified_ms: int = T) -> Listed:
    return Listed(key, etag, 1, modified_ms)


def test_differences_are_what_came_changed_and_went() -> None:
    known = {
        "changed": ObjectState(True, tag_of("old"), T),
        "gone": ObjectState(True, tag_of("e1"), T),
        "same": ObjectState(True, tag_of("e1"), T),
        "was gone": ObjectState(False, b"", T),
    }
    now = [listed("changed"), listed("new", "e-2"), listed("same"), listed("was gone")]

    found = {one.change.key: one.change for one in differences(now, known, T, T)}

    assert {key: change.event_name for key, change in found.items()} == {
        "changed": "ObjectCreated:Put",
        "gone": "ObjectRemoved:Delete",
        "new": "ObjectCreated:CompleteMultipartUpload",
        "was gone": "ObjectCreated:Put",
    }


def test_what_was_noted_since_the_listing_began_is_newer_than_it() -> None:
    known = {
        "created since": ObjectState(True, tag_of("e1"), T, noted_ms=T + 5),
        "overwritten since": ObjectState(True, tag_of("e2"), T, noted_ms=T + 5),
        "removed since": ObjectState(False, b"", T, noted_ms=T + 5),
    }

    assert differences([listed("overwritten since"), listed("removed since")], known, T, T) == []


def test_a_webhook_without_an_etag_agrees_with_the_listing_of_its_time() -> None:
    known = {"k": ObjectState(True, b"", T)}

    assert differences([listed("k", modified_ms=T + 1000)], known, T + 9000, T) == []
    assert len(differences([listed("k", modified_ms=T + 9000)], known, T + 9000, T)) == 1


def test_a_page_keeps_keys_tags_and_times_in_little_room() -> None:
    states = {f"photos/2023/{n:06}.jpg": ObjectState(True, tag_of(str(n)), T + n * 1000) for n in range(1000)}

    page = pack({**states, "zzz": ObjectState(False, b"", T)})

    assert unpack(page) == states
    assert len(page) < 20 * len(states)


def test_event_types_cover_what_s3_says_they_do() -> None:
    assert wants_event(("s3:ObjectCreated:*",), "ObjectCreated:Put")
    assert wants_event(("s3:ObjectCreated:Put",), "ObjectCreated:Put")
    assert not wants_event(("s3:ObjectCreated:Put",), "ObjectCreated:Copy")
    assert not wants_event(("s3:ObjectCreated:*",), "ObjectRemoved:Delete")


def test_prefix_and_suffix_bound_the_keys() -> None:
    assert wants_key("in/", ".jpg", "in/a.jpg")
    assert not wants_key("in/", ".jpg", "out/a.jpg")
    assert not wants_key("in/", ".jpg", "in/a.png")
