"""Entry point of a zygote, run by path: `python3 -I -S start.py CONTROL DIRECTORY`.

CONTROL is the descriptor of its control socket; DIRECTORY only tells people whose zygote it is.

Loads the packages it needs below a private name, so that no module name of a function's code can meet ours.
"""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path

PACKAGE = "_lightswitch"
"""Stands for `worker`, of which only what needs no more than the standard library is loaded."""


def main() -> None:
    """Make the private package and hand over to `launch`."""
    package = types.ModuleType(PACKAGE)
    package.__path__ = [str(Path(__file__).resolve().parents[2])]
    sys.modules[PACKAGE] = package
    importlib.import_module(PACKAGE + ".runtimes.python.launch").main(int(sys.argv[1]))


if __name__ == "__main__":
    main()
