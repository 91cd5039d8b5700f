"""What is not wanted any more goes, whatever it is made of."""

from __future__ import annotations

import os
from pathlib import Path

from worker.cache_directory import remove


def test_a_tree_deeper_than_python_recurses_is_removed(tmp_path: Path) -> None:
    doomed = tmp_path / "doomed"
    deepest = doomed
    for _ in range(1500):
        deepest.mkdir()
        deepest /= "d"
    deepest.mkdir()
    (deepest / "file").touch()
    deepest.chmod(0o555)
    remove(doomed)
    assert os.listdir(tmp_path) == []


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    doomed, kept = tmp_path / "doomed", tmp_path / "kept"
    doomed.mkdir()
    kept.mkdir()
    (kept / "file").touch()
    (doomed / "link").symlink_to(kept)
    (doomed / "broken").symlink_to("nowhere")
    remove(doomed)
    remove(doomed)
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "file"]
