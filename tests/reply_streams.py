"""Writing a streamed reply as its reader makes room."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from broker.interface import ReplyStream


async def write_all(answer: ReplyStream, pieces: Iterable[bytes]) -> None:
    """Every piece, waiting for room after each that leaves none."""
    for piece in pieces:
        answer.write(piece)
        if not answer.has_room:
            room = asyncio.Event()
            answer.when_room(room.set)
            await room.wait()
