"""Closes the gaps in the zygote's memory, so that what a child allocates lies close together.

A forked child copies a page for each small object that it puts between others. With the gaps filled, its
objects fill fresh pages one after the other: an idle environment is 0.5 MB smaller (Python 3.11). What fills
the gaps is never freed; every child shares it.
"""

from __future__ import annotations

import ctypes

SMALLEST, LARGEST, STEP = 16, 512, 16
"""The sizes that Python allocates from pools, one size each."""

IN_A_ROW = 12
"""So many blocks one after the other come from a pool that nobody used before."""

MOST_BYTES = 2 << 20
"""For an allocator that works differently."""

BELOW_MMAP_BYTES = 100_000
LARGEST_GAP = 65_536


def fill_gaps() -> None:
    """Fill those of Python's pools and those of libc's heap."""
    _fill_pools()
    _fill_heap()


def _fill_pools() -> None:
    allocate = _function(ctypes.pythonapi, "PyObject_Malloc")
    for size in range(SMALLEST, LARGEST + 1, STEP):
        in_a_row, last = 0, 0
        for _ in range(MOST_BYTES // 32 // size):
            block = allocate(size) or 0
            in_a_row = in_a_row + 1 if block == last + size else 0
            last = block
            if in_a_row == IN_A_ROW:
                break


def _fill_heap() -> None:
    """Whatever is not cut from the heap's end fills a gap."""
    libc = ctypes.CDLL(None)
    allocate, free = _function(libc, "malloc"), libc.free
    free.argtypes = [ctypes.c_void_p]
    end = allocate(BELOW_MMAP_BYTES) or 0
    size, filled = LARGEST_GAP, 0
    while size >= SMALLEST + 8:
        block = allocate(size) or end
        if block < end and filled < MOST_BYTES:
            filled += size
            continue
        if block != end:
            free(block)
        size = size - STEP if size <= 8 * STEP else size * 7 // 8
    free(end)


def _function(library: ctypes.CDLL, name: str) -> ctypes._NamedFuncPointer:
    function: ctypes._NamedFuncPointer = getattr(library, name)
    function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    return function
