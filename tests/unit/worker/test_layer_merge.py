"""Layers merge as on Lambda: later ones win, nobody may write."""

from __future__ import annotations

import stat
from pathlib import Path

from tests.deployment_packages import package
from worker.layer_merge import merge


def test_later_packages_replace_files_and_leave_the_others(tmp_path: Path) -> None:
    lower = package({"python/a.py": b"lower", "python/b.py": b"lower"})
    upper = package({"python/a.py": b"upper", "bin/c": b"upper"})
    merge([lower, upper], tmp_path / "opt")
    found = {str(path.relative_to(tmp_path / "opt")): path for path in (tmp_path / "opt").rglob("*")}
    assert found["python/a.py"].read_text() == "upper"
    assert found["python/b.py"].read_text() == "lower"
    assert found["bin/c"].read_text() == "upper"
    assert {stat.S_IMODE(path.stat().st_mode) for path in found.values()} == {0o444, 0o555}
    assert [path.name for path in tmp_path.iterdir()] == ["opt"]


def test_a_file_in_the_place_of_a_directory_replaces_it_and_the_other_way_round(tmp_path: Path) -> None:
    lower = package({"x/inner": b"lower", "y": b"lower"})
    upper = package({"x": b"upper", "y/inner": b"upper"})
    merge([lower, upper], tmp_path / "opt")
    assert (tmp_path / "opt/x").read_text() == "upper"
    assert (tmp_path / "opt/y/inner").read_text() == "upper"
