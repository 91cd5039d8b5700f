"""The packages that Python functions find on Lambda without bringing them: boto3 and what it needs, and the
hooks of SnapStart."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import stat
import tempfile
from pathlib import Path

DISTRIBUTIONS = (
    "boto3",
    "botocore",
    "s3transfer",
    "jmespath",
    "python-dateutil",
    "six",
    "urllib3",
    "snapshot-restore-py",
)

RUNTIME_PACKAGE = "_lightswitch_runtime"
RUNTIME_MODULES = (
    "__init__",
    "context",
    "encoding",
    "faults",
    "frames",
    "function_log",
    "function_loop",
    "handler",
    "http_loop",
    "json_log",
    "snap_start",
    "trace_variable",
)
"""Of `worker/runtimes/python`: what `bootstrap.py` needs, for functions with a wrapper."""

RUNTIME_SOURCE = Path(__file__).with_name("python")


def prepare_library(directory: Path) -> Path:
    """Make `directory/current` hold exactly DISTRIBUTIONS, as this process's Python has them, and the Python
    runtime as a program.

    Several workers may do this at once. Files are hard links where the file system and their modes allow,
    so it takes moments. Blocking. Raises OSError, PackageNotFoundError.
    """
    distributions = [importlib.metadata.distribution(name) for name in DISTRIBUTIONS]
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    target = directory / _fingerprint(distributions)
    if not target.exists():
        _fill(target, distributions)
    _point(directory / "current", target)
    return target


def _fingerprint(distributions: list[importlib.metadata.Distribution]) -> str:
    names = [f"{each.name}-{each.version}-{each.locate_file('')}" for each in distributions]
    programs = [source.read_text() for source, _ in _runtime_files()]
    return hashlib.sha256("\n".join([*names, *programs]).encode()).hexdigest()[:16]


def _runtime_files() -> list[tuple[Path, Path]]:
    """Source and target of each module of the runtime's program."""
    modules = [f"{name}.py" for name in RUNTIME_MODULES]
    placed = [(RUNTIME_SOURCE / name, Path(RUNTIME_PACKAGE) / name) for name in modules]
    return [(RUNTIME_SOURCE / "bootstrap.py", Path("bootstrap.py")), *placed]


def _fill(target: Path, distributions: list[importlib.metadata.Distribution]) -> None:
    building = Path(tempfile.mkdtemp(prefix=target.name, dir=target.parent))
    try:
        for distribution in distributions:
            for file in distribution.files or ():
                if ".." not in file.parts:
                    _place(Path(str(distribution.locate_file(file))), building / file)
        for source, place in _runtime_files():
            _copy(source, building / place)
        building.chmod(0o755)
        building.rename(target)
    except OSError:
        # Another worker was faster, or there is no room; the first is fine.
        shutil.rmtree(building, ignore_errors=True)
        if not target.exists():
            raise


def _place(source: Path, target: Path) -> None:
    if not source.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    if source.stat().st_mode & stat.S_IROTH:
        try:
            os.link(source, target)
            return
        except OSError:
            pass
    _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    shutil.copy2(source, target)
    target.chmod(0o644)


def _point(link: Path, target: Path) -> None:
    if link.is_symlink() and os.readlink(link) == target.name:
        return
    temporary = link.with_name(f".{link.name}-{os.getpid()}")
    temporary.symlink_to(target.name)
    temporary.replace(link)
