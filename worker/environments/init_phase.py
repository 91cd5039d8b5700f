"""An environment's init: how long it may take, how it ended, and why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from worker.environments import error_documents
from worker.environments.error_documents import error_document, exit_message
from worker.environments.interface import InitFailed
from worker.sandbox.interface import FailureKind, StartFailed

ERROR_TYPES: Mapping[FailureKind, str] = {
    "setup": error_documents.PLATFORM_ERROR,
    "entrypoint": error_documents.INVALID_ENTRYPOINT,
    "working_directory": error_documents.INVALID_WORKING_DIRECTORY,
}

INIT_SECONDS = 10.0
"""Lambda's init limit; what goes on longer counts as part of the first invocation there."""

SNAPSHOT_SECONDS = 130.0
"""Lambda's limit for an init whose result is kept."""

RESTORE_SECONDS = 10.0
"""Lambda's limit for the hooks that run in a copy."""


class InitPhase:
    """What is said first of its end counts."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[None] = self._loop.create_future()
        # Whoever gives up waiting does not ask how it ended.
        self._end.add_done_callback(lambda end: end.cancelled() or end.exception())
        self.duration_ms = 0.0
        """Known after `timed`."""

    @property
    def is_over(self) -> bool:
        """It has succeeded or failed."""
        return self._end.done()

    async def ended(self) -> None:
        """Wait until it is over. Raises InitFailed, whose duration is still to be set."""
        await self._end

    @contextmanager
    def timed(self, limit_seconds: float) -> Iterator[None]:
        """It lasts as long as the block; later than the limit it has failed."""
        started = time.perf_counter()
        timer = self._loop.call_later(limit_seconds, self._timed_out, limit_seconds)
        try:
            yield
        finally:
            timer.cancel()
            self.duration_ms = (time.perf_counter() - started) * 1000

    def succeed(self) -> None:
        """Everybody is ready."""
        if not self._end.done():
            self._end.set_result(None)

    def fail(self, error_type: str, document: bytes) -> None:
        """Somebody is not, and says why in an error document."""
        if not self._end.done():
            self._end.set_exception(InitFailed(error_type, document, 0.0))

    def not_started(self, failure: StartFailed) -> None:
        """There is no process."""
        error_type = ERROR_TYPES[failure.kind]
        self.fail(error_type, error_document(error_type, str(failure)))

    def process_exited(self, cause: str) -> None:
        """The process has ended meanwhile."""
        document = error_document(error_documents.EXIT_ERROR, exit_message(cause))
        self.fail(error_documents.EXIT_ERROR, document)

    def _timed_out(self, limit: float) -> None:
        document = error_document(error_documents.TIMED_OUT, f"Task timed out after {limit:.2f} seconds")
        self.fail(error_documents.TIMED_OUT, document)


def init_seconds(timeout_seconds: int, *, is_template: bool, is_copy: bool) -> float:
    """How long the init of a function with this timeout may take."""
    if is_copy:
        return RESTORE_SECONDS
    return max(SNAPSHOT_SECONDS if is_template else INIT_SECONDS, float(timeout_seconds))
