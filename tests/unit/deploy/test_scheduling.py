from __future__ import annotations

import subprocess
import sys


def test_who_favours_throughput_hands_it_on_to_whom_it_starts() -> None:
    code = """
import os, subprocess, sys
from deploy.scheduling import favour_throughput
favour_throughput()
asked = [sys.executable, "-c", "import os; print(os.sched_getscheduler(0) == os.SCHED_BATCH)"]
print(os.sched_getscheduler(0) == os.SCHED_BATCH, subprocess.check_output(asked, text=True).strip())
"""

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert printed.stdout.split() == ["True", "True"]
