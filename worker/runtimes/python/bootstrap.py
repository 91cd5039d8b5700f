"""The Python runtime as a program, at /var/runtime/bootstrap.py: what a function's wrapper is to start.

Run by path on the function's interpreter; the modules it needs lie in a package beside it.
"""

from __future__ import annotations

import importlib
import logging
import os
import site
import sys

PACKAGE = "_lightswitch_runtime"


def main() -> int:
    """Serve `_HANDLER`; the exit status."""
    runtime = os.path.dirname(os.path.abspath(__file__))
    # The machine's own packages are none of the function's business; those of PYTHONPATH are.
    hidden = {runtime, *site.getsitepackages()}
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) not in hidden]
    sys.path.append(runtime)
    names = ("encoding", "function_log", "handler", "http_loop")
    encoding, function_log, handler, http_loop = (
        importlib.import_module(f"{PACKAGE}.{name}") for name in names
    )
    function_log.open_streams()
    log = function_log.FunctionLog()
    log.follow(os.environ)
    logging.getLogger().addHandler(log)
    handler.prepare_path(os.environ["LAMBDA_TASK_ROOT"], "", "/opt")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    loop = http_loop.HttpLoop(os.environ["AWS_LAMBDA_RUNTIME_API"], log, encoding.Encoding(version))
    try:
        status: int = loop.run(os.environ["_HANDLER"])
    finally:
        function_log.flush_streams()
    return status


if __name__ == "__main__":
    sys.exit(main())
