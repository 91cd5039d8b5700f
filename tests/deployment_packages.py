"""Deployment packages made in memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path


def package(files: Mapping[str, bytes]) -> bytes:
    """A zip of files by name; programs are executable: `bootstrap`, `*.sh`, what lies in `extensions`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            program = name == "bootstrap" or name.endswith(".sh") or name.startswith("extensions/")
            entry.external_attr = (0o755 if program else 0o644) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def python_package(source: Path) -> bytes:
    """A zip with one Python file as app.py."""
    return package({"app.py": source.read_bytes()})
