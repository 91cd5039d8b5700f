"""Answers that take long: given up as soon as the caller hangs up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine

from gateway.http_body import Receive


async def unless_gone(answering: Coroutine[None, None, None], receive: Receive) -> None:
    """Await `answering`; cancel it when the caller hangs up. The request's body was read before."""
    answer = asyncio.ensure_future(answering)
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            answer.result()
    finally:
        for task in (answer, gone):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
