"""Where `lightswitch invoke` takes its payload from."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from deploy.errors import DeployError

EMPTY = b"{}"


def read_payload(option: str | None) -> bytes:
    """The payload meant by `--payload`: JSON, `@FILE`, `-` for stdin; without it, what is piped in.

    `{}` where there is nothing. Raises DeployError where the file cannot be read.
    """
    if option is None:
        return (_read_stdin() if _stdin_is_piped() else b"") or EMPTY
    if option == "-":
        return _read_stdin() or EMPTY
    if option.startswith("@"):
        return _read_file(Path(option[1:]))
    return option.encode()


def _stdin_is_piped() -> bool:
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):  # closed, or not of this world
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _read_stdin() -> bytes:
    return sys.stdin.buffer.read().strip()


def _read_file(path: Path) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise DeployError(f"cannot read payload {path}: {error.strerror}") from error
