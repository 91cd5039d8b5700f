"""Which interpreters are found, and which of them other users can reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.sandbox.interpreters import find_interpreters, own_installations, reachable_by_all


@pytest.fixture
def open_directory() -> Path:
    """A directory that every user can reach (temporary ones are private)."""
    return Path("/usr/bin")


def executable(path: Path) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_versions_are_found_by_name_and_only_supported_ones(tmp_path: Path) -> None:
    for name in ("python3.8", "python3.9", "python3.14", "python3.12-config", "python3"):
        executable(tmp_path / name)
    (tmp_path / "python3.10").write_text("not executable")

    found = find_interpreters([tmp_path], own=tmp_path / "python3.9")

    others = {version for version in found if found[version].path.parent == tmp_path}
    assert {"3.9", "3.14"} <= others
    assert not {"3.8", "3.10", "3.12"} & others


def test_a_reachable_interpreter_wins_over_our_own_unreachable_one(
    tmp_path: Path, open_directory: Path
) -> None:
    own = executable(tmp_path / "python")
    tmp_path.chmod(0o700)

    found = find_interpreters([open_directory], own=own)

    ours = next(iter(found.values()))
    alternative = open_directory / f"python{ours.version}"
    assert ours.reachable == alternative.exists()
    assert ours.path == (alternative if alternative.exists() else own)


def test_what_a_user_has_installed_is_found_the_newest_first(tmp_path: Path) -> None:
    places = {
        ".pyenv/versions/3.13.2": "python3.13",
        ".pyenv/versions/3.13.10": "python3.13",
        ".local/share/uv/python/cpython-3.12.4-linux": "python3.12",
    }
    for place, name in places.items():
        (tmp_path / place / "bin").mkdir(parents=True)
        executable(tmp_path / place / "bin" / name)

    found = find_interpreters(own_installations(tmp_path))

    assert found["3.13"].path == tmp_path / ".pyenv/versions/3.13.10/bin/python3.13"
    assert found["3.12"].path.parent.parent.name == "cpython-3.12.4-linux"


def test_a_private_directory_on_the_way_makes_a_file_unreachable(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)

    assert not reachable_by_all(executable(private / "python"))
    assert not reachable_by_all(private / "absent")
    assert reachable_by_all(Path("/bin/sh"))
