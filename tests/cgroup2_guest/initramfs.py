"""An initial file system for the guest: busybox, modules by which it sees this machine, a script."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

WANTED_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
_TRAILER = "TRAILER!!!"
_DIRECTORY, _PROGRAM, _CONSOLE = 0o040755, 0o100755, 0o020600


@dataclass(frozen=True)
class Entry:
    name: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def make_initramfs(target: Path, busybox: Path, modules: Path, scripts: Mapping[str, str]) -> None:
    """Write it; `modules` is a kernel's directory below /lib/modules, `scripts` become programs in /."""
    entries = [
        *(Entry(name, _DIRECTORY) for name in ("bin", "dev", "modules")),
        Entry("dev/console", _CONSOLE, device=(5, 1)),
        Entry("bin/busybox", _PROGRAM, busybox.read_bytes()),
        *(Entry(name, _PROGRAM, text.encode()) for name, text in scripts.items()),
    ]
    for number, module in enumerate(_in_order_of_loading(modules)):
        entries.append(Entry(f"modules/{number:02d}-{module.name}", _PROGRAM, module.read_bytes()))
    with target.open("wb") as file:
        for number, entry in enumerate([*entries, Entry(_TRAILER, 0)], 1):
            file.write(_packed(entry, number))


def _packed(entry: Entry, number: int) -> bytes:
    """One entry of a cpio archive in the `newc` format, as the kernel's documentation describes it."""
    name = entry.name.encode() + b"\0"
    size = len(entry.content)
    fields = (number, entry.mode, 0, 0, 1, 0, size, 0, 0, *entry.device, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(entry.content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _in_order_of_loading(modules: Path) -> list[Path]:
    """The wanted modules with what they depend on before them; what is built into the kernel has no file."""
    files = {path.stem.replace("-", "_"): path for path in modules.rglob("*.ko")}
    order: dict[str, Path] = {}

    def add(name: str) -> None:
        path = files.get(name)
        if path is None or name in order:
            return
        for needed in _dependencies(path):
            add(needed)
        order[name] = path

    for name in WANTED_MODULES:
        add(name)
    return list(order.values())


def _dependencies(module: Path) -> Iterator[str]:
    match = re.search(rb"\0depends=([^\0]*)\0", module.read_bytes())
    for name in match[1].decode().split(",") if match else ():
        if name:
            yield name.replace("-", "_")
