"""The canonical request of Signature Version 4, built from what arrived on the wire.

Lambda, like every service but S3, signs the path encoded once more than it was sent. What needs no work,
as almost every request on the hot path, is recognised with one `translate` and returned as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote_to_bytes

_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
_PLAIN_PATH = _UNRESERVED + b"/"


def canonical_path(raw_path: bytes) -> bytes:
    """The path as sent, its dot segments resolved, percent-encoded once more."""
    if b"//" in raw_path or b"/." in raw_path:
        raw_path = _normalized(raw_path)
    if not raw_path.translate(None, _PLAIN_PATH):
        return raw_path or b"/"
    return quote(raw_path, safe="/~").encode()


def canonical_query(query_string: bytes) -> bytes:
    """Parameters sorted by encoded name and value; `a` counts as `a=`, `+` as a space."""
    pairs = []
    for item in query_string.split(b"&"):
        if item:
            name, _, value = item.partition(b"=")
            pairs.append((_encoded(name), _encoded(value)))
    pairs.sort()
    return b"&".join(name + b"=" + value for name, value in pairs)


class SignedHeaders:
    """The headers that a client signs, in its order."""

    __slots__ = ("_template", "names")

    def __init__(self, names: Iterable[bytes]) -> None:
        self.names = tuple(names)
        self._template = b"".join(name.replace(b"%", b"%%") + b":%b\n" for name in self.names)

    def canonical(self, values: Mapping[bytes, bytes]) -> bytes:
        """One line for each header, absent ones empty, with the empty line that ends them."""
        lines = self._template % tuple([values.get(name, b"") for name in self.names])
        if b"  " in lines or b"\t" in lines or b": " in lines or b" \n" in lines:
            return self._template % tuple([_trimmed(values.get(name, b"")) for name in self.names])
        return lines


def _trimmed(value: bytes) -> bytes:
    return b" ".join(value.split()) if b"  " in value or b"\t" in value else value.strip()


def _encoded(part: bytes) -> bytes:
    if not part.translate(None, _UNRESERVED):
        return part
    return quote(unquote_to_bytes(part.replace(b"+", b" ")), safe="-_.~").encode()


def _normalized(path: bytes) -> bytes:
    segments: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del segments[-1:]
        elif segment and segment != b".":
            segments.append(segment)
    normal = b"/" + b"/".join(segments)
    return normal + b"/" if segments and path.endswith(b"/") else normal
