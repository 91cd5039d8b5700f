"""Files of packages that are installed here, as a deployment package carries them."""

from __future__ import annotations

from importlib.metadata import distribution


def files_of(*distributions: str) -> dict[str, bytes]:
    """The Python files of some distributions, by their paths in a zip."""
    found: dict[str, bytes] = {}
    for name in distributions:
        for file in distribution(name).files or ():
            if file.suffix == ".py" and ".." not in file.parts:
                found[str(file)] = file.read_binary()
    return found
