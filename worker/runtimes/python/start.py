"""Entry point of a zygote, run by path: `python3 -I -S start.py '<json configuration>'`.

Loads its siblings as a private package, so that no module name of a function's code can meet ours.
"""

from __future__ import annotations

import importlib
import os
import sys
import types

PACKAGE = "_lightswitch_runtime"


def main() -> None:
    """Make the private package and hand over to its zygote."""
    package = types.ModuleType(PACKAGE)
    package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
    sys.modules[PACKAGE] = package
    importlib.import_module(PACKAGE + ".zygote").main(sys.argv[1])


if __name__ == "__main__":
    main()
