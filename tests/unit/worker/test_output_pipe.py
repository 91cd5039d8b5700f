"""What a function writes is delivered before the end of its run, in order, however the loop hears of it."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator

import pytest
import uvloop

from worker.environments.output_pipe import BURST_BYTES, READ_BYTES, OutputPipe


class Run:
    """An output pipe beside an answer's socket, as an environment has them."""

    def __init__(self) -> None:
        self.output = bytearray()
        self.pipe = OutputPipe(self.output.extend)
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)

    async def answered(self, *written: bytes) -> None:
        """The function writes all of this, then answers, while the loop may be asleep or busy."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def receive() -> None:
            self._ours.recv(1)
            if not answer.done():
                answer.set_result(None)

        asyncio.get_running_loop().add_reader(self._ours, receive)
        function = threading.Thread(target=self._write_and_answer, args=(written,))
        function.start()
        await answer
        self.pipe.drain_heard()
        function.join()

    def _write_and_answer(self, written: tuple[bytes, ...]) -> None:
        for text in written:
            os.write(self.pipe.write_end, text)
        self._theirs.send(b".")

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._ours)
        self._ours.close()
        self._theirs.close()
        self.pipe.close()


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    run = Run()
    yield run
    run.close()


async def test_what_was_written_before_an_answer_is_there_when_it_is_heard(run: Run) -> None:
    expected = b""
    for number in range(2000):
        line = b"run %d\n" % number
        await run.answered(line[:3], line[3:])
        expected += line
        assert run.output == expected


async def test_more_than_one_read_holds_is_there_too(run: Run) -> None:
    await run.answered(b"x" * (READ_BYTES - 1))

    assert len(run.output) == READ_BYTES - 1


async def test_what_comes_after_a_flood_is_there_though_the_pipe_is_left_alone(run: Run) -> None:
    piece = b"y" * (READ_BYTES // 2)
    for _ in range(BURST_BYTES // len(piece) + 2):
        await run.answered(piece)
    run.output.clear()

    await run.answered(b"after the flood")

    assert run.output == b"after the flood"


def test_so_it_is_with_the_loop_that_workers_run_on() -> None:
    async def many_runs() -> None:
        run = Run()
        try:
            await test_what_was_written_before_an_answer_is_there_when_it_is_heard(run)
        finally:
            run.close()

    uvloop.run(many_runs())
