"""A range of user ids that belongs to one worker, so that each of its environments can have its own."""

from __future__ import annotations

import fcntl
import os
from collections import deque
from pathlib import Path

FIRST_UID = 1_900_000_000
"""Above the ranges that distributions give to users, containers and services."""

BLOCK_UIDS = 2_000
BLOCKS = 1_000


class NoUids(Exception):
    """This worker cannot have user ids of its own; the text says why."""


class UidBlock:
    """A leased block. The lease is a file lock: it ends when every holder of `descriptor` has closed it,
    and a zygote holds it too, so a block is free only when nothing of its environments is left."""

    def __init__(self, first: int, descriptor: int) -> None:
        self.first = first
        self.descriptor = descriptor
        self._free = deque(range(first, first + BLOCK_UIDS))

    @classmethod
    def lease(cls, lock_directory: Path, first_uid: int = FIRST_UID) -> UidBlock:
        """Take the first block that nobody holds. Raises NoUids."""
        try:
            lock_directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        except OSError as error:
            raise NoUids(f"{lock_directory} cannot be made: {error.strerror}") from error
        for number in range(BLOCKS):
            descriptor = _lock(lock_directory / f"uids-{number}.lock")
            if descriptor is not None:
                return cls(first_uid + number * BLOCK_UIDS, descriptor)
        raise NoUids(f"all {BLOCKS} blocks of user ids in {lock_directory} are taken")

    def take(self) -> int:
        """A uid that no live environment has; the one that was free for longest. Raises NoUids."""
        if not self._free:
            raise NoUids(f"all {BLOCK_UIDS} user ids of this worker are in use")
        return self._free.popleft()

    def give_back(self, uid: int) -> None:
        """Nothing of the environment with `uid` is left."""
        self._free.append(uid)

    def close(self) -> None:
        """End our part of the lease."""
        os.close(self.descriptor)


def _lock(path: Path) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise NoUids(f"{path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
