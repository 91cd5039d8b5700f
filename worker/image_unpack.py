"""The program that makes a root file system of layers: `python -m worker.image_unpack LAYERS ROOT`.

LAYERS is a directory of layers, in the order of their names; ROOT is made. What is wrong is said on stdout.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from broker.container_image.errors import ImageRefused
from broker.container_image.layer_archive import Budget
from broker.container_image.root_filesystem import apply_layer, finish

REFUSED = 3
"""Exit status where the image is at fault."""
POLITENESS = 5
"""Functions that run already come first."""


def unpack(layers: Path, root: Path) -> None:
    """Raises ImageRefused, OSError; `root` is unfinished then."""
    root.mkdir(0o755)
    budget = Budget()
    for path in sorted(layers.iterdir()):
        with path.open("rb") as layer:
            apply_layer(root, layer, budget)
        path.unlink()
    finish(root)


def main() -> int:
    os.nice(POLITENESS)
    os.umask(0o022)
    layers, root = sys.argv[1:]
    try:
        unpack(Path(layers), Path(root))
    except ImageRefused as error:
        print(error)
        return REFUSED
    except OSError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
