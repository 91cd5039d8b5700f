"""Which shards may be read: a child only after its parents, so that items keep their order. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec


class Shard(msgspec.Struct, frozen=True):
    """One shard as DescribeStream tells of it. `parent_id` is empty where it has none."""

    shard_id: str
    parent_id: str = ""
    is_closed: bool = False
    """Nothing is written to it any more: its sequence numbers have an end."""


def readable(shards: Sequence[Shard], finished: Collection[str]) -> list[Shard]:
    """Those that are not finished and whose parent is, or has been trimmed from the stream."""
    known = {shard.shard_id for shard in shards}
    return [
        shard
        for shard in shards
        if shard.shard_id not in finished and (shard.parent_id not in known or shard.parent_id in finished)
    ]


def forgettable(finished: Iterable[str], shards: Sequence[Shard]) -> list[str]:
    """Finished shards that the stream does not list any more: nobody asks for them again."""
    known = {shard.shard_id for shard in shards}
    return [shard_id for shard_id in finished if shard_id not in known]
