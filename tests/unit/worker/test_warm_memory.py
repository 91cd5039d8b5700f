"""What a zygote does to its memory before it forks functions."""

from __future__ import annotations

import subprocess
import sys

from worker.runtimes.python.function_log import FunctionLog
from worker.runtimes.python.rehearsal import MODULE, rehearse

PAGE_BYTES = 4096
LIE_TOGETHER = """
from worker.runtimes.python.gaps import fill_gaps
kept = [bytes(number) for number in range(2000)]
del kept[::2]
fill_gaps()
places = [id(each) for each in [bytes(60) for _ in range(16)]]
print(max(places) - min(places))
"""


def test_a_rehearsal_leaves_nothing_behind() -> None:
    log = FunctionLog()
    path, flags = list(sys.path), (sys.dont_write_bytecode, sys.pycache_prefix)

    rehearse(log)

    assert MODULE not in sys.modules
    assert sys.path == path
    assert (sys.dont_write_bytecode, sys.pycache_prefix) == flags
    assert log.request_id == ""


def test_objects_made_after_the_gaps_are_filled_lie_together() -> None:
    done = subprocess.run([sys.executable, "-c", LIE_TOGETHER], capture_output=True, text=True, check=True)

    assert int(done.stdout) < PAGE_BYTES
