"""Landlock: which files a process may touch, whatever their owner and mode say. Linux 5.13."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence

from .kernel import Kernel

VERSION_QUERY = 1
RULE_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIRECTORY = 1, 2, 4, 8
TRUNCATE, IOCTL_DEVICE = 1 << 14, 1 << 15
READ = EXECUTE | READ_FILE | READ_DIRECTORY
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE

SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1, 2


def version(kernel: Kernel) -> int:
    """The version of the interface. Raises OSError where there is none."""
    return kernel.call("landlock_create_ruleset", None, 0, VERSION_QUERY)


def _all_rights(abi: int) -> int:
    rights = (1 << 13) - 1
    if abi >= 2:
        rights |= 1 << 13
    if abi >= 3:
        rights |= TRUNCATE
    return rights | IOCTL_DEVICE if abi >= 5 else rights


def restrict(kernel: Kernel, readable: Sequence[str], writable: Sequence[str]) -> None:
    """Only `readable` and `writable` paths, and what is below them, can be opened from now on. Where the
    kernel can (6.12), signals and abstract sockets stay within this process's descendants. Paths that do
    not exist are left out. Raises OSError."""
    abi = version(kernel)
    rights = _all_rights(abi)
    scope = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS if abi >= 6 else 0
    size = 24 if abi >= 6 else 8
    ruleset = kernel.call("landlock_create_ruleset", struct.pack("=QQQ", rights, 0, scope)[:size], size, 0)
    for paths, granted in ((readable, READ), (writable, rights)):
        for path in paths:
            _allow(kernel, ruleset, path, granted & rights)
    kernel.call("landlock_restrict_self", ruleset, 0)
    os.close(ruleset)


def _allow(kernel: Kernel, ruleset: int, path: str, granted: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EACCES):
            return
        raise
    if not os.path.isdir(path):
        granted &= OF_FILES
    try:
        kernel.call(
            "landlock_add_rule", ruleset, RULE_PATH_BENEATH, struct.pack("=Qi", granted, descriptor), 0
        )
    finally:
        os.close(descriptor)
