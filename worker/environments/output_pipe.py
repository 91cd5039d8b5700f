"""The pipe behind a function's stdout and stderr."""

from __future__ import annotations

import asyncio
import os
import select

from worker.environments.interface import OnOutput

READ_BYTES = 65_536
DRAIN_BYTES = 1 << 20
"""Enough for all that a pipe holds. A function that goes on flooding is read later, in its turn."""

BURST_BYTES = 1 << 20
PAUSE_SECONDS = 0.1
"""After each burst nothing is read for a while: who floods its log waits, and not the others."""


class OutputPipe:
    """Hands what comes out of the pipe to `on_output`, one piece per turn of the loop."""

    def __init__(self, on_output: OnOutput) -> None:
        self._on_output = on_output
        self._loop = asyncio.get_running_loop()
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_end, False)
        self._poll = select.poll()
        self._poll.register(self._read_end, select.POLLIN)
        self._open = True
        self._budget = BURST_BYTES
        self._heard = False
        self._resuming: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._read_end, self._read)

    def redirect(self, on_output: OnOutput) -> None:
        """Hand what is read from now on to another."""
        self._on_output = on_output

    def process_started(self) -> None:
        """The process has its own copy of `write_end`."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def read_instead(self, read_end: int) -> None:
        """The process writes into another pipe, which is ours from now on."""
        self._loop.remove_reader(self._read_end)
        self._poll.unregister(self._read_end)
        os.close(self._read_end)
        self._read_end = read_end
        os.set_blocking(read_end, False)
        self._poll.register(read_end, select.POLLIN)
        self._loop.add_reader(read_end, self._read)

    def drain_heard(self) -> None:
        """Deliver what was written before something that the loop has told us of, in this turn or later.

        Then the loop has told us of this pipe too, and it is empty unless more than a read holds came, or it
        is left alone for a while. Where nothing came, as in most runs, that costs nothing.
        """
        if self._heard or self._resuming is not None:
            self.drain()
            self._heard = False

    def drain(self) -> None:
        """Deliver what was written before this call."""
        budget = DRAIN_BYTES
        # Asking costs a third of a read that fails, and most runs write nothing.
        while self._open and budget > 0 and self._poll.poll(0):
            taken = self._read()
            if taken == 0:
                return
            budget -= taken

    def close(self) -> None:
        """Idempotent."""
        self.process_started()
        if self._open:
            self._open = False
            if self._resuming is not None:
                self._resuming.cancel()
            self._loop.remove_reader(self._read_end)
            os.close(self._read_end)

    def _pause(self) -> None:
        self._loop.remove_reader(self._read_end)
        self._resuming = self._loop.call_later(PAUSE_SECONDS, self._resume)

    def _resume(self) -> None:
        self._resuming = None
        self._budget = BURST_BYTES
        self._loop.add_reader(self._read_end, self._read)

    def _read(self) -> int:
        try:
            data = os.read(self._read_end, READ_BYTES)
        except BlockingIOError:
            return 0
        if data:
            self._heard = True
            self._on_output(data)
            self._budget -= len(data)
            if self._budget <= 0 and self._resuming is None:
                self._pause()
        else:
            # Nobody can write any more.
            self._loop.remove_reader(self._read_end)
        return len(data)
