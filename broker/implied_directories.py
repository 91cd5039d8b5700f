"""Directories that the entries of an archive make on the way: they count as if the archive had named them.

A path of 4 KB implies two thousand directories, so a small archive could make more of them than any disk, or
whoever counts them, has room for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

MOST_DEPTH = 200
"""Of directories in one another, in archives of all kinds; what removes or walks them may be recursive."""

_Tree: TypeAlias = "dict[str, _Tree]"


class ImpliedDirectories:
    """Of one archive. `count` is called for each directory that no entry has named before; it raises where
    there are too many, before anything more is kept of them."""

    def __init__(self, count: Callable[[], None]) -> None:
        self._root: _Tree = {}
        self._count = count

    def enter(self, parts: Sequence[str], *, is_directory: bool) -> None:
        """An entry with a path of these parts; itself it is for the caller to count."""
        *above, name = parts or ("",)
        tree = self._root
        for part in above:
            if part not in tree:
                self._count()
                tree[part] = {}
            tree = tree[part]
        if is_directory and name:
            tree.setdefault(name, {})

    def __contains__(self, parts: Sequence[str]) -> bool:
        """Whether that path is a directory's."""
        tree = self._root
        for part in parts:
            if part not in tree:
                return False
            tree = tree[part]
        return True
