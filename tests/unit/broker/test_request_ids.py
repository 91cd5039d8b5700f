"""Request ids are UUIDs of version 4, each another one."""

from __future__ import annotations

import uuid

from broker.invocation import RequestIds, new_request_id


def test_each_is_a_random_uuid() -> None:
    ids = RequestIds()

    for request_id in (new_request_id(), ids.new()):
        assert uuid.UUID(request_id).version == 4
        assert uuid.UUID(request_id).variant == uuid.RFC_4122
        assert str(uuid.UUID(request_id)) == request_id


def test_many_are_all_different() -> None:
    ids, others = RequestIds(), RequestIds()
    drawn = [*(ids.new() for _ in range(1_001)), *(others.new() for _ in range(1_001))]

    assert len(set(drawn)) == len(drawn)
