"""Files of packages that are installed here, as a deployment package carries them."""

from __future__ import annotations

from importlib.metadata import distribution


def files_of(*distributions: str) -> dict[str, bytes]:
    """Python files, compiled modules and data of some distributions, by their paths in a zip; their names and
    versions, too."""
    found: dict[str, bytes] = {}
    for name in distributions:
        for file in distribution(name).files or ():
            wanted = file.suffix in (".py", ".so", ".json") or file.name in ("METADATA", "entry_points.txt")
            if wanted and ".." not in file.parts:
                found[str(file)] = file.read_binary()
    return found
