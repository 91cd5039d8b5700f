"""The files of one installation on this machine, and the lock that lets one `up` run over them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from deploy.errors import DeployError


class RunningSystem(msgspec.Struct, frozen=True):
    """What `up` leaves in `up.json` for the commands that look for it."""

    pid: int
    endpoint_url: str
    started_ms: int
    """Epoch milliseconds."""
    local_aws_url: str = ""
    """Of the services that `--with-local-aws` brought along."""


@dataclass(frozen=True, slots=True)
class DataDir:
    """Paths below a data directory. Functions may traverse it to their code, but not list it."""

    path: Path

    @property
    def credentials_file(self) -> Path:
        return self.path / "credentials.json"

    @property
    def running_file(self) -> Path:
        return self.path / "up.json"

    @property
    def redis(self) -> Path:
        return self.path / "redis"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def create(self) -> None:
        """Make what is missing. Raises DeployError where this user may not."""
        try:
            self.path.mkdir(mode=0o711, parents=True, exist_ok=True)
            private_directory(self.logs)
        except OSError as error:
            raise DeployError(
                f"cannot use data directory {self.path}: {error.strerror}; choose another with --data-dir"
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for this process. Raises DeployError naming the process that has it."""
        with (self.path / "up.lock").open("a+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise DeployError(
                    f"`lightswitch up` (pid {file.read().strip() or 'unknown'}) already runs on {self.path}; "
                    "stop it or choose another --data-dir"
                ) from error
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield

    def announce(self, system: RunningSystem) -> None:
        """Tell other commands of this machine that the system runs."""
        write_atomically(self.running_file, msgspec.json.encode(system), mode=0o644)

    def withdraw(self) -> None:
        """The system no longer runs."""
        self.running_file.unlink(missing_ok=True)

    def running(self) -> RunningSystem | None:
        """The system that was announced, if its process is still there."""
        try:
            system = msgspec.json.decode(self.running_file.read_bytes(), type=RunningSystem)
            os.kill(system.pid, 0)
        except PermissionError:  # it is there, but another user's
            return system
        except (OSError, msgspec.DecodeError):
            return None
        return system


def private_directory(path: Path) -> None:
    """Make a directory that only this user can enter. Raises DeployError where another one owns it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if path.is_symlink() or status.st_uid != os.geteuid():
        raise DeployError(f"{path} belongs to somebody else (uid {status.st_uid}); remove it and try again")
    path.chmod(0o700)


def write_atomically(path: Path, content: bytes, *, mode: int) -> None:
    """Replace a file: readers see the old content or the new, never a part."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    with suppress(FileNotFoundError):
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
