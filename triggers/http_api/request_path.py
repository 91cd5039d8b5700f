"""The path of a request: split where it was sent with slashes, then percent-decoded."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class MalformedPath(ValueError):
    """The path has an escape that is none, or no text behind its escapes."""


def split_path(raw_path: bytes) -> list[str]:
    """The segments of a path, decoded: `/a%20b/` is `["a b", ""]`. Raises MalformedPath.

    An encoded slash stays within its segment, so that nobody reaches with it what lies below another route.
    """
    if not raw_path.startswith(b"/"):
        raise MalformedPath(f"the path {raw_path!r} does not begin with a slash")
    try:
        if b"%" not in raw_path:
            return raw_path.decode()[1:].split("/")
        if _BROKEN_ESCAPE.search(raw_path):
            raise MalformedPath(f"the path {raw_path!r} has a broken escape")
        segments = [unquote_to_bytes(part).decode() for part in raw_path[1:].split(b"/")]
    except UnicodeDecodeError as error:
        raise MalformedPath(f"the path {raw_path!r} is no UTF-8") from error
    if any(_CONTROL.search(segment) for segment in segments):
        raise MalformedPath(f"the path {raw_path!r} has a control character")
    return segments
