from __future__ import annotations

from worker.housekeeping import available_share


def test_available_memory_is_a_share_of_all() -> None:
    meminfo = "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    250 kB\n"

    assert available_share(meminfo) == 0.25
