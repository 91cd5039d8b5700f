"""Route keys: `GET /orders/{id}`, `ANY /{proxy+}`, `$default`, as API Gateway's HTTP APIs write them."""

from __future__ import annotations

import re

import msgspec

DEFAULT = "$default"
ANY = "ANY"
METHODS = ("ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
RESERVED = ("healthz", "readyz", "lightswitch", "a Lambda API version such as 2015-03-31")

_RESERVED_SEGMENT = re.compile(r"healthz|readyz|lightswitch|\d{4}-\d{2}-\d{2}")
_VARIABLE = re.compile(r"\{([A-Za-z0-9._:-]+)(\+?)\}")
_PLAIN = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]*")


class Segment(msgspec.Struct, frozen=True):
    """One part of a route's path: plain text, `{variable}`, or `{greedy+}`, which takes all that follows."""

    text: str
    is_variable: bool = False
    is_greedy: bool = False


class RouteKey(msgspec.Struct, frozen=True):
    """A route; `$default` has the method ANY and no segments."""

    text: str
    method: str
    segments: tuple[Segment, ...]

    @property
    def shape(self) -> str:
        """Equal for routes that take exactly the same requests."""
        if self.text == DEFAULT:
            return DEFAULT
        parts = ["{+}" if s.is_greedy else "{}" if s.is_variable else s.text for s in self.segments]
        return f"{self.method} /{'/'.join(parts)}"


def parse_route_key(text: str) -> RouteKey:
    """Read a route key. Raises ValueError, saying what is wrong with it."""
    if text == DEFAULT:
        return RouteKey(text, ANY, ())
    method, _, path = text.partition(" ")
    if method not in METHODS or not path.startswith("/"):
        raise ValueError(
            f"route key {text!r} is neither '$default' nor 'METHOD /path'; methods: {', '.join(METHODS)}"
        )
    segments = tuple(_segment(text, part) for part in path[1:].split("/"))
    _check(text, segments)
    return RouteKey(text, method, segments)


def _segment(text: str, part: str) -> Segment:
    variable = _VARIABLE.fullmatch(part)
    if variable is not None:
        return Segment(variable[1], is_variable=True, is_greedy=bool(variable[2]))
    if not _PLAIN.fullmatch(part):
        raise ValueError(
            f"route key {text!r}: {part!r} is neither plain text of a path nor a variable,"
            " which is written {name} or {name+}"
        )
    return Segment(part)


def _check(text: str, segments: tuple[Segment, ...]) -> None:
    if any(segment.is_greedy for segment in segments[:-1]):
        raise ValueError(f"route key {text!r}: a greedy variable can only be the end of the path")
    names = [segment.text for segment in segments if segment.is_variable]
    if len(set(names)) != len(names):
        raise ValueError(f"route key {text!r} has two variables of one name")
    first = segments[0]
    if not first.is_variable and _RESERVED_SEGMENT.fullmatch(first.text):
        raise ValueError(f"route key {text!r} is under a path of the gateway's own: {', '.join(RESERVED)}")
