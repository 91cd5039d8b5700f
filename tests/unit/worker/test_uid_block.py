"""Blocks of user ids: no two holders share one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker.sandbox.uid_block import BLOCK_UIDS, NoUids, UidBlock


def test_two_leases_never_overlap_and_a_closed_one_is_free_again(tmp_path: Path) -> None:
    first, second = UidBlock.lease(tmp_path, 1000), UidBlock.lease(tmp_path, 1000)
    assert (first.first, second.first) == (1000, 1000 + BLOCK_UIDS)

    first.close()
    third = UidBlock.lease(tmp_path, 1000)

    assert third.first == 1000
    second.close()
    third.close()


def test_a_block_stays_taken_while_another_process_holds_its_descriptor(tmp_path: Path) -> None:
    block = UidBlock.lease(tmp_path, 1000)
    held = os.dup(block.descriptor)
    block.close()

    other = UidBlock.lease(tmp_path, 1000)

    assert other.first != 1000
    other.close()
    os.close(held)


def test_a_uid_is_reused_as_late_as_possible(tmp_path: Path) -> None:
    block = UidBlock.lease(tmp_path, 1000)
    taken = [block.take() for _ in range(BLOCK_UIDS)]
    assert len(set(taken)) == BLOCK_UIDS
    with pytest.raises(NoUids, match="in use"):
        block.take()

    block.give_back(taken[7])

    assert block.take() == taken[7]
    block.close()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.touch()

    with pytest.raises(NoUids, match="file/locks"):
        UidBlock.lease(blocker / "locks", 1000)
