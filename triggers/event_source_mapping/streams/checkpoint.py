"""How far a shard was read, as it is kept between the lives of a process."""

from __future__ import annotations

import msgspec

from triggers.event_source_mapping.streams.windows import OpenWindow

START = "start"
"""The name under which a mapping keeps where it began; shards keep theirs under their ids."""


class Start(msgspec.Struct, frozen=True):
    """Where a mapping began to read, decided once. `past`: shards that were closed before a LATEST start."""

    started_seconds: float
    past: tuple[str, ...] = ()


class ShardCheckpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything up to `after` is done; `window` is open and holds the state of those."""

    after: str = ""
    finished: bool = False
    window: OpenWindow | None = None


encode = msgspec.json.Encoder().encode
decode_start = msgspec.json.Decoder(Start).decode
decode_checkpoint = msgspec.json.Decoder(ShardCheckpoint).decode
