"""The garbage collector of a process that serves for long."""

from __future__ import annotations

import gc

_YOUNG_OBJECTS = 20_000
_GENERATIONS = 20


def settle_in() -> None:
    """Call once when everything is set up: what lives now lives on and is never looked at again.

    The hot paths make no reference cycles, so that a look every 20,000 objects is plenty; Python's 700 would
    look at every few requests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, _GENERATIONS, _GENERATIONS)
