"""Executes a program that sees a runtime's directory where functions see it, and works in a directory below:
`view.py DIRECTORY BELOW PROGRAM ...`.

An archive of classes names the places of their jars, so it must be made where it will be used.
"""

from __future__ import annotations

import os
import sys

from worker.sandbox.inside.kernel import Kernel
from worker.sandbox.inside.root import BUILDING_SITES, RUNTIME
from worker.sandbox.inside.user_namespace import enter_user_namespace


def show_runtime(kernel: Kernel, directory: str) -> None:
    """Have this process alone see `directory` at /var/runtime, and nothing else of /var. Raises OSError."""
    if os.geteuid() != 0:
        enter_user_namespace(kernel, 0, 0)
    kernel.unshare_mounts()
    site = next(path for path in BUILDING_SITES if os.path.isdir(path))
    kernel.bind(directory, site, read_only=False)
    kernel.mount("tmpfs", os.path.dirname(RUNTIME), "tmpfs", 0, "mode=755")
    os.mkdir(RUNTIME)
    kernel.bind(site, RUNTIME, read_only=False)


def main() -> None:
    directory, below, *command = sys.argv[1:]
    show_runtime(Kernel(), directory)
    os.chdir(os.path.join(RUNTIME, below))
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
