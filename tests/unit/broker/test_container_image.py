"""Layers of strangers become a root file system, and nothing outside of it is touched."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from broker.container_image.errors import ImageRefused
from broker.container_image.layer_archive import Budget, Entry, Kind, entries
from broker.container_image.root_filesystem import apply_layer, finish
from tests.container_images import Member, applied, directory, hard_link, layer, symlink


def contents(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def test_files_keep_their_mode_and_time_but_no_right_to_become_another_user(root: Path) -> None:
    secret, shared = Member("/etc/secret", b"y", 0o600), directory("srv", 0o1777)
    applied(root, layer(Member("bin/run", b"x", 0o4755), secret, shared))
    run = (root / "bin/run").stat()
    assert stat.S_IMODE(run.st_mode) == 0o755
    assert run.st_mtime == 1_700_000_000
    assert stat.S_IMODE((root / "etc/secret").stat().st_mode) == 0o600
    assert stat.S_IMODE((root / "srv").stat().st_mode) == 0o755


@pytest.mark.parametrize("time", ["nan", "inf", "-1", "1e30"])
def test_a_time_that_is_none_is_the_beginning_of_time(root: Path, time: str) -> None:
    info = tarfile.TarInfo("a")
    info.pax_headers = {"mtime": time}
    applied(root, info.tobuf(tarfile.PAX_FORMAT) + bytes(1024))
    assert (root / "a").stat().st_mtime == 0


def test_a_compressed_layer_is_as_good(root: Path) -> None:
    applied(root, gzip.compress(layer(Member("./a", b"1"))))
    assert (root / "a").read_bytes() == b"1"


def test_a_later_layer_replaces_what_is_of_another_kind(root: Path) -> None:
    applied(
        root,
        layer(directory("a"), Member("a/b", b"1"), Member("c"), symlink("d", "c")),
        layer(Member("a", b"2"), directory("c"), Member("d", b"3")),
    )
    assert (root / "a").read_bytes() == b"2"
    assert (root / "c").is_dir()
    assert not (root / "d").is_symlink()


def test_whiteouts_remove_what_earlier_layers_brought(root: Path) -> None:
    applied(
        root,
        layer(Member("kept"), Member("gone"), Member("lib/old"), Member("lib/sub/old")),
        layer(Member(".wh.gone"), Member(".wh.never"), Member("lib/.wh.old"), Member(".wh..wh.plnk")),
    )
    assert contents(root) == {"kept", "lib", "lib/sub", "lib/sub/old"}


def test_an_opaque_directory_has_only_what_its_own_layer_puts_there_wherever_the_mark_stands(
    root: Path,
) -> None:
    applied(
        root,
        layer(Member("lib/old"), Member("lib/sub/old")),
        layer(Member("lib/new"), Member("lib/sub/new"), Member("lib/.wh..wh..opq")),
    )
    assert contents(root) == {"lib", "lib/new", "lib/sub", "lib/sub/new"}


def test_a_path_through_a_link_stays_inside(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    applied(
        root,
        layer(
            directory("usr/lib"),
            symlink("lib", "usr/lib"),
            symlink("up", f"../../..{tmp_path}/outside"),
            symlink("absolute", f"{tmp_path}/outside"),
        ),
        layer(Member("lib/a", b"1"), Member("up/b", b"2"), Member("absolute/c", b"3")),
    )
    assert (root / "usr/lib/a").read_bytes() == b"1"
    assert os.listdir(tmp_path / "outside") == []
    assert (root / f".{tmp_path}/outside/b").read_bytes() == b"2"
    assert (root / f".{tmp_path}/outside/c").read_bytes() == b"3"


def test_whiteouts_through_links_stay_inside(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    applied(
        root,
        layer(symlink("out", str(outside))),
        layer(Member("out/.wh.precious"), Member("out/.wh..wh..opq")),
    )
    assert (outside / "precious").exists()


def test_a_hard_link_is_one_to_a_file_of_the_image(root: Path) -> None:
    applied(root, layer(Member("a", b"1")), layer(hard_link("b", "a"), hard_link("c", "/a")))
    assert (root / "a").stat().st_nlink == 3


@pytest.mark.parametrize("target", ["../secret", "missing", "dir", "/"])
def test_a_hard_link_to_anything_else_is_refused(root: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "secret").touch()
    with pytest.raises(ImageRefused, match=r"hard link|outside of the image"):
        applied(root, layer(directory("dir"), hard_link("b", target)))


def test_a_hard_link_through_a_link_does_not_leave_the_image(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    with pytest.raises(ImageRefused, match="hard link"):
        applied(root, layer(symlink("out", str(tmp_path)), hard_link("b", "out/secret")))


def test_devices_and_pipes_are_left_out(root: Path) -> None:
    devices = [
        Member(name, kind=kind) for name, kind in (("null", tarfile.CHRTYPE), ("pipe", tarfile.FIFOTYPE))
    ]
    applied(root, layer(*devices, Member("a")))
    assert contents(root) == {"a"}


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "x" * 300, "/".join(["d" * 200] * 30)])
def test_names_that_lead_out_or_are_too_long_are_refused(root: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageRefused, match=r"outside of the image|too long a name"):
        applied(root, layer(Member(name)))
    assert os.listdir(tmp_path) == ["root"]


@pytest.mark.parametrize("slashes", ["/", "//", "///"])
def test_slashes_at_the_beginning_of_a_name_lead_nowhere_but_into_the_image(
    root: Path, tmp_path: Path, slashes: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"secret")
    there = f"{slashes}{str(outside).lstrip('/')}"
    inside = root / str(outside).lstrip("/")
    applied(
        root,
        layer(Member(f"{there}/old", b"1"), Member(f"{there}/sub/older"), directory(f"{there}/made")),
        layer(
            hard_link("linked", f"{there}/old"),
            hard_link(f"{there}/again", "linked"),
            symlink(f"{there}/soft", "old"),
            Member(f"{there}/.wh.precious"),
            Member(f"{there}/sub/.wh..wh..opq"),
        ),
        layer(Member(f"{there}/.wh..wh..opq"), Member(f"{there}/precious", b"2")),
    )
    assert contents(outside) == {"precious"}
    assert (outside / "precious").read_bytes() == b"secret"
    assert contents(inside) == {"precious"}
    assert (root / "linked").read_bytes() == b"1"
    with pytest.raises(ImageRefused, match="hard link"):
        applied(tmp_path / "other", layer(hard_link("stolen", f"{there}/precious")))


@pytest.mark.parametrize("parts", [("//", "outside"), ("/outside",), ("a/b",)])
def test_a_part_of_a_path_that_is_no_name_is_refused(
    root: Path, parts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: tuple[Kind, ...] = ("directory", "file", "whiteout", "opaque")
    for kind in kinds:
        entry = Entry(kind, parts)
        monkeypatch.setattr(
            "broker.container_image.root_filesystem.entries", lambda tar, budget, e=entry: iter([e])
        )
        with pytest.raises(ImageRefused, match="no names"):
            applied(root, b"tar of")


def test_a_loop_of_links_is_refused(root: Path) -> None:
    with pytest.raises(ImageRefused, match="loop of links"):
        applied(root, layer(symlink("a", "b"), symlink("b", "a"), Member("a/c")))


@pytest.mark.parametrize(
    "through", [(), (symlink("far", "/".join("d" * 150)),)], ids=["plainly", "by a link"]
)
def test_directories_are_only_so_deep(root: Path, through: tuple[Member, ...]) -> None:
    path = "/".join("d" * 210) if not through else "far/" + "/".join("e" * 100)
    with pytest.raises(ImageRefused, match="200 deep"):
        applied(root, layer(*through, Member(path)))


def test_an_entry_below_a_file_is_refused(root: Path) -> None:
    with pytest.raises(ImageRefused, match="no directory"):
        applied(root, layer(Member("a"), Member("a/b")))


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"no archive at all" * 100,
        layer(Member("a", b"1" * 2000))[:1024],
        gzip.compress(layer(Member("a")))[:-20],
        b"\x28\xb5\x2f\xfd" + bytes(600),
    ],
    ids=["empty", "text", "cut", "cut gzip", "zstd"],
)
def test_what_is_no_sound_layer_is_refused(root: Path, damaged: bytes) -> None:
    with pytest.raises(ImageRefused):
        applied(root, damaged)


def test_an_image_may_be_so_large_and_no_larger(root: Path) -> None:
    root.mkdir()
    bomb = gzip.compress(layer(Member("a", bytes(1 << 20))))
    with pytest.raises(ImageRefused, match="larger than 100000 bytes"):
        apply_layer(root, io.BytesIO(bomb), Budget(most_bytes=100_000))
    many = layer(*(Member(str(number)) for number in range(20)))
    with pytest.raises(ImageRefused, match="more than 10 files"):
        list(entries(io.BytesIO(many), Budget(most_entries=10)))


def test_directories_that_are_made_on_the_way_count(root: Path) -> None:
    root.mkdir()
    deep = layer(*(Member(f"{number}/b/c/d/file") for number in range(2)))
    apply_layer(root, io.BytesIO(deep), Budget(most_entries=10))
    with pytest.raises(ImageRefused, match="more than 9 files"):
        apply_layer(root / "0", io.BytesIO(deep), Budget(most_entries=9))


def test_a_header_of_unreasonable_size_is_not_read(root: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 5 << 20
    with pytest.raises(ImageRefused, match="header of"):
        list(entries(io.BytesIO(info.tobuf() + bytes(6 << 20)), Budget()))


def test_what_the_sandbox_mounts_on_is_real(root: Path) -> None:
    applied(
        root, layer(symlink("tmp", "/var/tmp"), symlink("etc/resolv.conf", "/run/elsewhere"), Member("proc"))
    )
    finish(root)
    for name in ("dev", "proc", "sys", "tmp", "etc"):
        assert (root / name).is_dir()
        assert not (root / name).is_symlink()
    assert not (root / "etc/resolv.conf").is_symlink()
    assert (root / "etc/hosts").is_file()
