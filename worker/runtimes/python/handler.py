"""Finds and imports a function's handler, as AWS's Python runtime does."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from .faults import Fault

Handler = Callable[[Any, Any], Any]

LOADED_ON_LAMBDA = frozenset(
    """
    abc atexit binascii bisect bz2 codecs collections contextlib copyreg decimal encodings enum
    errno fnmatch functools genericpath importlib io ipaddress itertools json keyword linecache
    logging lzma math ntpath numbers operator os pathlib posix posixpath random re reprlib shutil
    site stat string struct sys tempfile textwrap threading time token tokenize traceback types
    typing urllib warnings weakref zipfile zlib
    """.split()  # noqa: SIM905 (a list of 60 quoted names reads worse)
)
"""Modules that are loaded before a handler on Lambda too, where a function's own module of the same name
is never seen. Any other module that the zygote imported early makes way for the function's."""


def prepare_path(task_root: str, library: str, layers: str = "") -> None:
    """Task root first, then layers, the standard library, the runtime's library (boto3) last."""
    brought = [task_root, *_layer_paths(layers)]
    sys.path[:0] = brought
    if library:
        sys.path.append(library)
    sys.dont_write_bytecode = True
    for directory in brought:
        _make_way(directory)


def load_handler(name: str) -> Handler:
    """The callable that `name` (`module.function`, `folder/module.function`) says. Raises Fault, or
    what the function's module raises while it is imported."""
    module_name, function_name = _split(name)
    module = _import(module_name)
    try:
        handler: Handler = getattr(module, function_name)
    except AttributeError:
        message = f"Handler '{function_name}' missing on module '{module_name}'"
        raise Fault("Runtime.HandlerNotFound", message) from None
    return handler


def _split(name: str) -> tuple[str, str]:
    try:
        module_name, function_name = name.rsplit(".", 1)
    except ValueError as error:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{name}': {error}") from error
    if module_name.split(".")[0] in sys.builtin_module_names:
        message = f"Cannot use built-in module {module_name} as a handler module"
        raise Fault("Runtime.BuiltInModuleConflict", message)
    return module_name, function_name


def _import(module_name: str) -> Any:
    try:
        return importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        raise Fault("Runtime.ImportModuleError", message) from error
    except SyntaxError as error:
        message = f"Syntax error in module '{module_name}': {error}"
        trace = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        raise Fault("Runtime.UserCodeSyntaxError", message, (trace,)) from error


def _layer_paths(layers: str) -> list[str]:
    """Where Lambda looks for packages in layers, if there are any."""
    if not layers:
        return []
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return [f"{layers}/python/lib/{version}/site-packages", f"{layers}/python"]


def _make_way(task_root: str) -> None:
    try:
        entries = os.listdir(task_root)
    except OSError:
        return
    hidden = {entry.partition(".")[0] for entry in entries} - LOADED_ON_LAMBDA
    # Asked by name: a look at every module that the zygote has would copy the memory of their names.
    early = {name for name in hidden if name in sys.modules and name not in sys.builtin_module_names}
    if early:
        for name in [each for each in sys.modules if each.partition(".")[0] in early]:
            del sys.modules[name]
