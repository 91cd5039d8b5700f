"""What the zygote imports once, so that no function has to.

Measured on Python 3.11: the list costs 60 ms once per zygote and 1 ms per fork; importing it in every
function instead would cost each cold start the 60 ms.
"""

from __future__ import annotations

import importlib
import site

MODULES = (
    "base64",
    "concurrent.futures",
    "copy",
    "csv",
    "datetime",
    "decimal",
    "encodings.idna",
    "hashlib",
    "hmac",
    "html",
    "http.client",
    "json",
    "linecache",
    "logging",
    "queue",
    "random",
    "shutil",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "traceback",
    "urllib.parse",
    "urllib.request",
    "uuid",
    "xml.etree.ElementTree",
)


def preload() -> None:
    """Import what handlers commonly need; a build of Python without one of them is fine."""
    for name in MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    _add_site_builtins()


def _add_site_builtins() -> None:
    """`exit`, `help` and their like, which `-S` leaves out and functions on Lambda have."""
    site.setquit()
    site.setcopyright()
    site.sethelper()
