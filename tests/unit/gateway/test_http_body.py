"""Bodies are read whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gateway.http_body import BodyTooLarge, CallerGone, Message, Receive, read_body

LIMIT = 10


def sent(*chunks: bytes, complete: bool = True) -> Receive:
    """What a server hands over for a body that comes in these chunks."""
    last = len(chunks) - 1
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": number < last or not complete}
        for number, chunk in enumerate(chunks)
    ]
    messages.append({"type": "http.disconnect"})
    remaining = iter(messages)

    async def receive() -> Message:
        return next(remaining)

    return receive


@pytest.mark.parametrize("chunks", [[b""], [b"0123456789"], [b"01234", b"", b"56789"]])
async def test_a_body_within_the_limit_is_put_together(chunks: Sequence[bytes]) -> None:
    assert await read_body(sent(*chunks), [(b"content-length", b"10")], LIMIT) == b"".join(chunks)


async def test_an_announced_length_far_over_the_limit_is_refused_unread() -> None:
    async def receive() -> Message:
        raise AssertionError("nothing may be read")

    with pytest.raises(BodyTooLarge):
        await read_body(receive, [(b"content-length", b"41")], LIMIT)


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"1")], [(b"content-length", b"12")]])
async def test_a_body_over_the_limit_is_read_to_its_end_and_refused(
    headers: list[tuple[bytes, bytes]],
) -> None:
    receive = sent(b"0123456", b"789a", b"b")
    with pytest.raises(BodyTooLarge):
        await read_body(receive, headers, LIMIT)
    assert (await receive())["type"] == "http.disconnect"


async def test_a_body_without_an_end_is_not_read_for_ever() -> None:
    chunks = [b"0123456789"] * 6
    receive = sent(*chunks)
    with pytest.raises(BodyTooLarge):
        await read_body(receive, [], LIMIT)
    assert (await receive())["type"] == "http.request"


async def test_a_caller_that_hangs_up_leaves_no_body() -> None:
    with pytest.raises(CallerGone):
        await read_body(sent(b"01", complete=False), [], LIMIT)
