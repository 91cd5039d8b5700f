"""Boot the guest, run tests in it, print what they say; exit with their status, or 0 where it is skipped.

The guest sees this machine's files through a read-only share, under a layer of its own memory: it runs a copy
of this checkout, with this machine's Python. Control groups version 2 are mounted there and version 1 is not.
It is emulated, ten to fifty times slower than this machine, so that few tests are run.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tests.acceptance.download_cache import download_cache
from tests.cgroup2_guest.initramfs import make_initramfs
from tests.cgroup2_guest.kernel import Missing, guest_files

QEMU = "qemu-system-x86_64"
MEMORY_MB = 2048
TIMEOUT_SECONDS = 1800
REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 20
"""How much slower than this machine the guest may be."""
DEFAULT_TESTS = (
    "tests/contract/test_sandbox_levels.py",
    "tests/contract/test_sandbox_limits.py",
    "tests/contract/test_ephemeral_storage.py",
    "-k",
    "(L3 or L2) and not bootstrap",
)
RESULT = re.compile(r"^guest: exit status (\d+)\s*$", re.MULTILINE)

INIT = """#!/bin/busybox sh
box=/bin/busybox
$box mkdir -p /proc /sys /host /memory /root
$box mount -t proc proc /proc
$box mount -t sysfs sysfs /sys
$box mount -t devtmpfs dev /dev
for module in /modules/*; do $box insmod $module; done
$box mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 host /host
$box mount -t tmpfs memory /memory
$box mkdir /memory/upper /memory/work
$box mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work overlay /root
for place in dev proc sys; do $box mount --move /$place /root/$place; done
for place in tmp run dev/shm; do $box mkdir -p /root/$place; $box mount -t tmpfs none /root/$place; done
$box mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
$box ip link set lo up
$box cp /tests /root/run/tests
exec $box switch_root /root /bin/sh /run/tests
"""

TESTS = """mkdir /run/repository && cd /run/repository && cp -r {repository}/[a-z]* .
groups=/sys/fs/cgroup
echo "+memory +cpu +pids" > $groups/cgroup.subtree_control
mkdir $groups/service && echo $$ > $groups/service/cgroup.procs
export HOME=/tmp PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin CI=1 LIGHTSWITCH_TEST_PATIENCE={patience}
{python} -m pytest {tests} -v --color=no --timeout=600 --durations=10 \
    -p no:cacheprovider -p tests.cgroup2_guest.slow_machine
echo "guest: exit status $?"
echo o > /proc/sysrq-trigger; while :; do :; done"""


def main(arguments: list[str]) -> int:
    if shutil.which(QEMU) is None:
        print(f"skipped: {QEMU} is missing (Debian: qemu-system-x86)")
        return 0
    try:
        files = guest_files(download_cache("cgroup2-guest"))
    except Missing as error:
        print(f"skipped: {error}")
        return 0
    tests = TESTS.format(
        repository=shlex.quote(str(REPOSITORY)),
        python=sys.executable,
        tests=shlex.join(arguments or DEFAULT_TESTS),
        patience=PATIENCE,
    )
    with tempfile.TemporaryDirectory() as directory:
        initramfs = Path(directory) / "initramfs"
        make_initramfs(initramfs, files.busybox, files.modules, {"init": INIT, "tests": tests})
        return _boot(files.kernel, initramfs)


def _boot(kernel: Path, initramfs: Path) -> int:
    guest = subprocess.Popen(
        [
            *(QEMU, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", str(os.cpu_count() or 1)),
            *("-m", str(MEMORY_MB), "-nographic", "-no-reboot", "-nic", "none"),
            *("-kernel", str(kernel), "-initrd", str(initramfs)),
            *("-append", "console=ttyS0 quiet panic=-1"),
            *("-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"),
            *("-device", "virtio-9p-pci,fsdev=host,mount_tag=host"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    said = ""
    assert guest.stdout is not None
    watchdog = threading.Timer(TIMEOUT_SECONDS, guest.kill)
    watchdog.start()
    try:
        for line in guest.stdout:
            print(line, end="", flush=True)
            said += line
    finally:
        watchdog.cancel()
        guest.kill()
        guest.wait()
    result = RESULT.search(said)
    return int(result[1]) if result else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
