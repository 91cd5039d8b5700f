"""Each way to do harm with a zip is refused, by both doors, and ordinary packages come through whole."""

from __future__ import annotations

import io
import os
import random
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from broker import code_package
from broker.code_package import InvalidPackage, PackageTooLarge

Fill = Callable[[zipfile.ZipFile], None]
CANNOT_UNZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."


def zipped(fill: Fill) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        fill(archive)
    return buffer.getvalue()


def entry(name: str, mode: int = 0o644, compress_type: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.compress_type = compress_type
    return info


def of(*names: str) -> bytes:
    def fill(archive: zipfile.ZipFile) -> None:
        for name in names:
            archive.writestr(entry(name), "" if name.endswith("/") else "x")

    return zipped(fill)


def assert_refused(package: bytes, target: Path, message: str) -> None:
    """Both doors refuse it with `message`, and nothing is made outside of `target`."""
    with pytest.raises(InvalidPackage, match=message):
        code_package.validate(package)
    with pytest.raises(InvalidPackage, match=message):
        code_package.unpack(package, target)
    assert [path.name for path in target.parent.iterdir()] in ([], [target.name])


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside" / "code"


def test_an_ordinary_package_comes_through_whole(target: Path) -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        archive.writestr("app.py", "def handler(event, context): ...")
        archive.writestr("lib/", "")
        archive.writestr("lib/deep/er/data.bin", os.urandom(300_000))
        archive.writestr("empty/", "")
        archive.writestr("größe.txt", "umlaut")

    package = zipped(fill)
    code_package.validate(package)
    code_package.unpack(package, target)
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        for name in ("app.py", "lib/deep/er/data.bin", "größe.txt"):
            assert (target / name).read_bytes() == archive.read(name)
    assert (target / "empty").is_dir()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_everybody_may_read_and_nobody_write(target: Path, umask: int) -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        archive.writestr(entry("bootstrap", 0o100755), "#!/bin/sh")
        archive.writestr(entry("lib/tool", 0o100700), "#!/bin/sh")
        archive.writestr(entry("app.py", 0o100600), "x")
        archive.writestr(entry("setuid", 0o104777), "x")
        archive.writestr(entry("no-mode", 0), "x")

    before = os.umask(umask)
    try:
        code_package.unpack(zipped(fill), target)
    finally:
        os.umask(before)
    modes = {str(path.relative_to(target)): stat.S_IMODE(path.stat().st_mode) for path in target.rglob("*")}
    assert modes == {
        "bootstrap": 0o555,
        "lib": 0o555,
        "lib/tool": 0o555,
        "app.py": 0o444,
        "setuid": 0o555,
        "no-mode": 0o444,
    }
    assert stat.S_IMODE(target.stat().st_mode) == 0o555


def test_dots_and_doubled_slashes_mean_nothing(target: Path) -> None:
    code_package.unpack(of("./", "./app.py", "lib//x.py"), target)
    assert (target / "app.py").read_text() == "x"
    assert (target / "lib" / "x.py").read_text() == "x"


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "..", "a/..", "/etc/evil", "//evil", "../"])
def test_a_path_out_of_the_package_is_refused(target: Path, name: str) -> None:
    assert_refused(of("app.py", name), target, "points outside of the package")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_a_link_or_special_file_is_refused(target: Path, kind: int) -> None:
    package = zipped(lambda archive: archive.writestr(entry("odd", kind | 0o777), "/etc/passwd"))
    assert_refused(package, target, "is a link or special file")


def test_a_link_that_says_it_was_made_elsewhere_is_refused(target: Path) -> None:
    info = entry("odd", stat.S_IFLNK | 0o777)
    info.create_system = 0
    assert_refused(
        zipped(lambda archive: archive.writestr(info, "/etc")), target, "is a link or special file"
    )


def test_a_directory_in_the_guise_of_a_file_is_refused(target: Path) -> None:
    package = zipped(lambda archive: archive.writestr(entry("odd", stat.S_IFDIR | 0o755), "x"))
    assert_refused(package, target, "is a link or special file")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["app.py", "./app.py", ".//app.py"])
def test_a_file_that_is_there_twice_is_refused(target: Path, second: str) -> None:
    assert_refused(of("app.py", second), target, "is there twice")


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a", "a/"), ("a/b/c", "a/b"), (".", "x")])
def test_a_file_that_is_also_a_directory_is_refused(target: Path, names: tuple[str, str]) -> None:
    assert_refused(of(*names), target, "is there both as a file and as a directory")


def test_a_directory_that_is_there_twice_is_fine(target: Path) -> None:
    code_package.unpack(of("a/", "a/x", "./a/", "b/y", "b/"), target)
    assert (target / "a" / "x").is_file()


def test_an_encrypted_entry_is_refused(target: Path) -> None:
    package = bytearray(of("app.py"))
    for header, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        package[package.index(header) + at] |= 0x1
    assert_refused(bytes(package), target, "is encrypted")


@pytest.mark.parametrize("compress_type", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_costs_the_reader_memory_is_refused(target: Path, compress_type: int) -> None:
    package = zipped(lambda archive: archive.writestr(entry("a", compress_type=compress_type), "x" * 99))
    assert_refused(package, target, "other means than deflate")


def test_a_nul_in_a_name_is_refused(target: Path) -> None:
    package = of("app.pyXevil").replace(b"app.pyX", b"app.py\0")
    assert_refused(package, target, "NUL in its name")


@pytest.mark.parametrize("name", ["n" * 256, "ü" * 128, "/".join(["dir"] * 600)])
def test_too_long_a_name_is_refused(target: Path, name: str) -> None:
    assert_refused(of(name.lstrip("/")), target, "too long a name")


def test_too_many_entries_are_refused(target: Path) -> None:
    package = of(*(f"{number}/" for number in range(code_package.MOST_ENTRIES + 1)))
    assert_refused(package, target, "more than 65535 entries")


def test_directories_that_paths_imply_are_counted(target: Path) -> None:
    deep = "/".join("d" * 198)
    package = of(*(f"{number}/{deep}/f" for number in range(code_package.MOST_ENTRIES // 200 + 1)))
    assert len(package) < 500_000
    assert_refused(package, target, "makes more than 65535 files and directories")


def test_directories_that_are_named_or_shared_are_counted_once(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = of("a/", "a/b/x", "a/b/y", "a/b/")
    monkeypatch.setattr(code_package, "MOST_ENTRIES", 5)  # four entries, and b before it is named
    code_package.unpack(package, target)
    monkeypatch.setattr(code_package, "MOST_ENTRIES", 4)
    with pytest.raises(InvalidPackage, match="makes more than 4 files and directories"):
        code_package.validate(package)


def test_directories_are_only_so_deep(target: Path) -> None:
    code_package.unpack(of("/".join("d" * 199) + "/f"), target)
    with pytest.raises(InvalidPackage, match="more than 200 directories deep"):
        code_package.validate(of("/".join("d" * 200) + "/f"))


def test_a_package_that_admits_to_be_too_large_is_refused(target: Path) -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        for number in range(2):
            with archive.open(entry(f"zeros-{number}"), "w", force_zip64=True) as file:
                for _ in range(code_package.MOST_UNZIPPED_BYTES // 2 // 1_000_000 + 1):
                    file.write(bytes(1_000_000))

    assert_refused(zipped(fill), target, "Unzipped size must be smaller than 262144000 bytes")


def test_what_inflates_beyond_reason_is_refused(target: Path) -> None:
    package = zipped(lambda archive: archive.writestr("zeros", bytes(20_000_000)))
    assert_refused(package, target, "inflates to more than 200 times its size")


def test_a_small_file_may_inflate_as_it_likes(target: Path) -> None:
    code_package.unpack(zipped(lambda archive: archive.writestr("zeros", bytes(15_000_000))), target)
    assert (target / "zeros").stat().st_size == 15_000_000


def test_a_header_that_lies_about_the_size_is_refused(target: Path) -> None:
    honest = zipped(lambda archive: archive.writestr("zeros", bytes(1_000_000)))
    lying = honest.replace(struct.pack("<L", 1_000_000), struct.pack("<L", 10))
    assert lying != honest
    assert_refused(lying, target, CANNOT_UNZIP)


def test_entries_that_share_their_data_are_counted_each(target: Path) -> None:
    """The overlapping bomb: one kernel of data, named by many entries of the central directory."""
    kernel = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = kernel.compress(bytes(10_000_000)) + kernel.flush()
    crc = zlib.crc32(bytes(10_000_000))
    sizes = struct.pack("<LLL", crc, len(data), 10_000_000)
    local = b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 0x21) + sizes + struct.pack("<HH", 1, 0) + b"a"
    central = b"".join(
        b"PK\x01\x02"
        + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 0x21)
        + sizes
        + struct.pack("<HHHHHLL", 1, 0, 0, 0, 0, 0, 0)
        + name
        for name in (b"a", b"b", b"c")
    )
    end = b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, 3, 3, len(central), len(local + data), 0)
    assert_refused(local + data + central + end, target, CANNOT_UNZIP)


@pytest.mark.parametrize("package", [b"", of()])
def test_an_empty_package_is_refused(target: Path, package: bytes) -> None:
    assert_refused(package, target, "Uploaded file must be a non-empty zip")


@pytest.mark.parametrize("package", [b"no zip", b"PK\x05\x06", of("app.py")[:-1], of("app.py")[10:-30]])
def test_what_is_no_zip_is_refused(target: Path, package: bytes) -> None:
    assert_refused(package, target, CANNOT_UNZIP)


def test_damaged_contents_are_refused(target: Path) -> None:
    package = zipped(lambda archive: archive.writestr(entry("a", compress_type=zipfile.ZIP_STORED), "hello"))
    assert_refused(package.replace(b"hello", b"hellO"), target, CANNOT_UNZIP)


def test_too_large_a_zip_is_refused_before_it_is_read() -> None:
    with pytest.raises(PackageTooLarge, match="Zipped size must be smaller than 10 bytes"):
        code_package.validate(of("app.py"), most_zipped_bytes=10)


def test_damage_of_any_kind_is_the_packages_fault_and_stays_inside(tmp_path: Path) -> None:
    """Whatever zipfile stumbles over, callers see InvalidPackage; half of the damage is in the headers."""
    chance = random.Random(7)
    original = of("app.py", "lib/", "lib/module.py", "bootstrap")
    verdicts = set()
    for number in range(1500):
        package = bytearray(original)
        for _ in range(chance.randint(1, 4)):
            package[chance.randrange(len(package))] = chance.choice(
                (0, 1, 46, 47, 255, chance.randrange(256))
            )
        try:
            code_package.unpack(bytes(package), tmp_path / f"{number}")
            verdicts.add("sound")
        except InvalidPackage:
            verdicts.add("refused")
    assert verdicts == {"sound", "refused"}
    assert {path.name for path in tmp_path.iterdir()} <= {str(number) for number in range(1500)}
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]
