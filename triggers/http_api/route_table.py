"""All routes compiled for one lookup: which route takes a request, and what its variables are.

AWS's precedence: text over `{variable}` over `{greedy+}` over `$default`, segment by segment from the left,
and a method over ANY. A path whose methods do not fit leaves the request to the next less specific route.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from triggers.http_api.route_key import ANY, DEFAULT, RouteKey

Route = TypeVar("Route")


class _Leaf(Generic[Route]):
    """The routes of one path, by method, each with the names of its variables by their place."""

    __slots__ = ("by_method",)

    def __init__(self) -> None:
        self.by_method: dict[str, tuple[Route, tuple[tuple[int, str], ...]]] = {}


class _Node(Generic[Route]):
    __slots__ = ("end", "greedy", "texts", "variable")

    def __init__(self) -> None:
        self.texts: dict[str, _Node[Route]] = {}
        self.variable: _Node[Route] | None = None
        self.greedy: _Leaf[Route] | None = None
        self.end: _Leaf[Route] | None = None


class RouteTable(Generic[Route]):
    """Never changed once it is made. Of routes of the same shape, the first one given counts."""

    def __init__(self, routes: Iterable[tuple[RouteKey, Route]] = ()) -> None:
        self._root: _Node[Route] = _Node()
        self._default: Route | None = None
        for key, route in routes:
            self._add(key, route)

    def match(self, method: str, segments: Sequence[str]) -> tuple[Route, dict[str, str]] | None:
        """The route that takes a request and the values of its variables; None where none does."""
        found = _match(self._root, method, segments, 0)
        if found is None:
            return None if self._default is None else (self._default, {})
        route, names, greedy_from = found
        return route, {
            name: "/".join(segments[at:]) if at == greedy_from else segments[at] for at, name in names
        }

    def _add(self, key: RouteKey, route: Route) -> None:
        if key.text == DEFAULT:
            self._default = route if self._default is None else self._default
            return
        names = tuple((at, segment.text) for at, segment in enumerate(key.segments) if segment.is_variable)
        self._leaf(key).by_method.setdefault(key.method, (route, names))

    def _leaf(self, key: RouteKey) -> _Leaf[Route]:
        node = self._root
        for segment in key.segments:
            if segment.is_greedy:
                node.greedy = node.greedy or _Leaf()
                return node.greedy
            if segment.is_variable:
                node.variable = node.variable or _Node()
                node = node.variable
            else:
                node = node.texts.setdefault(segment.text, _Node())
        node.end = node.end or _Leaf()
        return node.end


_Found = tuple[Route, tuple[tuple[int, str], ...], int]


def _match(node: _Node[Route], method: str, segments: Sequence[str], at: int) -> _Found[Route] | None:
    """The best route below `node`. Visits each node at most once: a node's depth is its place in the path."""
    if at == len(segments):
        return _of_method(node.end, method, -1)
    text = node.texts.get(segments[at])
    found = _match(text, method, segments, at + 1) if text is not None else None
    if found is None and node.variable is not None and segments[at]:
        found = _match(node.variable, method, segments, at + 1)
    return _of_method(node.greedy, method, at) if found is None else found


def _of_method(leaf: _Leaf[Route] | None, method: str, greedy_from: int) -> _Found[Route] | None:
    if leaf is None:
        return None
    found = leaf.by_method.get(method) or leaf.by_method.get(ANY)
    return None if found is None else (*found, greedy_from)
