"""A container image's root file system in place of the one that functions share."""

from __future__ import annotations

import os

from .kernel import MS_BIND, MS_REC, Kernel
from .root import IMAGE_SITE, SCRATCH

DIRECTORIES = (SCRATCH, "/dev", "/proc")
"""What a process sees where it has them of its own."""

FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/hostname")


def enter_image(kernel: Kernel) -> None:
    """Make the tree at IMAGE_SITE the root, with what of the present root belongs to the sandbox.

    Its mount points are real directories and files (the worker saw to that). Nothing of this machine's
    programs is left to be found, so that nothing may be imported any more. Raises OSError.
    """
    for path in DIRECTORIES:
        kernel.mount(path, IMAGE_SITE + path, None, MS_BIND | MS_REC)
    for path in FILES:
        if os.path.isfile(path):
            kernel.mount(path, IMAGE_SITE + path, None, MS_BIND)
    kernel.change_root(IMAGE_SITE)
