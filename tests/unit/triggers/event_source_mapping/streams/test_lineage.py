"""A child's shard waits for its parent."""

from __future__ import annotations

from triggers.event_source_mapping.streams.lineage import Shard, forgettable, readable

FAMILY = [Shard("grandchild", "child"), Shard("child", "parent"), Shard("parent", is_closed=True)]


def ids(shards: list[Shard]) -> list[str]:
    return [shard.shard_id for shard in shards]


def test_only_the_eldest_is_read_first() -> None:
    assert ids(readable(FAMILY, ())) == ["parent"]


def test_a_child_follows_when_its_parent_is_finished() -> None:
    assert ids(readable(FAMILY, {"parent"})) == ["child"]
    assert ids(readable(FAMILY, {"parent", "child"})) == ["grandchild"]
    assert ids(readable(FAMILY, {"parent", "child", "grandchild"})) == []


def test_a_parent_that_was_trimmed_holds_nobody_up() -> None:
    assert ids(readable([Shard("child", "trimmed long ago")], ())) == ["child"]


def test_both_halves_of_a_split_are_read_side_by_side() -> None:
    split = [Shard("parent"), Shard("left", "parent"), Shard("right", "parent")]
    assert ids(readable(split, {"parent"})) == ["left", "right"]


def test_finished_shards_are_remembered_while_they_are_listed() -> None:
    assert forgettable(["gone", "parent"], FAMILY) == ["gone"]
