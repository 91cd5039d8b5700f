"""A function that nobody deployed: imports modules of the runtime and says what that is like.

It runs isolated as every function: the names come from processes that are not to be trusted.
"""

from __future__ import annotations

import importlib
from typing import Any


def handler(event: Any, context: Any) -> Any:
    """`event` and answer: see `import_trial` of the runtime, which is loaded already."""
    del context
    return importlib.import_module("_lightswitch.runtimes.python.import_trial").try_out(event["modules"])
