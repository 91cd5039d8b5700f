"""The guest's kernel and its shell, from Debian's packages, which are unpacked and not installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

METAPACKAGE = "linux-image-amd64"


class Missing(Exception):
    """What the guest needs is not to be had; the message says what."""


@dataclass(frozen=True)
class GuestFiles:
    """`modules` is the kernel's directory below /lib/modules."""

    kernel: Path
    modules: Path
    busybox: Path


def guest_files(cache: Path) -> GuestFiles:
    """Fetched once into `cache`. Raises Missing."""
    for command in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(command) is None:
            raise Missing(f"{command} is missing: kernel and shell of the guest come from Debian's packages")
    package = _kernel_package()
    unpacked = cache / package
    if not unpacked.is_dir():
        _fetch((package, "busybox-static"), unpacked)
    version = package.removeprefix("linux-image-")
    return GuestFiles(
        unpacked / "boot" / f"vmlinuz-{version}",
        unpacked / "lib" / "modules" / version,
        unpacked / "bin" / "busybox",
    )


def _kernel_package() -> str:
    shown = subprocess.run(["apt-cache", "depends", METAPACKAGE], capture_output=True, text=True)
    match = re.search(r"Depends: (linux-image-\d\S+)", shown.stdout)
    if match is None:
        raise Missing(f"apt-cache knows no {METAPACKAGE}; run apt-get update")
    return match[1]


def _fetch(packages: tuple[str, ...], target: Path) -> None:
    unfinished = target.with_name(f"unfinished-{target.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    done = subprocess.run(["apt-get", "download", *packages], cwd=unfinished, capture_output=True, text=True)
    if done.returncode != 0:
        raise Missing(f"{' and '.join(packages)} cannot be downloaded: {done.stderr.strip()[-300:]}")
    for archive in unfinished.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", archive, unfinished], check=True)
        archive.unlink()
    unfinished.rename(target)
