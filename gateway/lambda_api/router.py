"""From a method and a path to an operation of the service model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote


@dataclass(frozen=True, slots=True)
class Route:
    """An operation and what its path said, percent-decoded, by the model's location names."""

    operation: Any
    uri: Mapping[str, str]


@dataclass(slots=True)
class _Node:
    """One step of a path: what may follow, and which operations end here by method and fixed query."""

    literals: dict[str, _Node] = field(default_factory=dict)
    placeholder: tuple[str, _Node] | None = None
    operations: dict[str, list[tuple[frozenset[tuple[str, str]], Any]]] = field(default_factory=dict)


class Router:
    """Routes of every operation of a model. A slash at the end of a path makes no difference."""

    def __init__(self, model: Any) -> None:
        self._root = _Node()
        for name in model.operation_names:
            self._add(model.operation_model(name))

    def prefixes(self) -> frozenset[str]:
        """First segments of all paths: the dates that Lambda's API versions are called by."""
        return frozenset(self._root.literals)

    def match(self, method: str, raw_path: bytes, query: Iterable[tuple[str, str]]) -> Route | None:
        """The route of a request, None where there is none. `raw_path` is still percent-encoded."""
        node, uri = self._root, {}
        for segment in raw_path.decode("latin-1").strip("/").split("/"):
            following = node.literals.get(segment)
            if following is None:
                if node.placeholder is None or not segment:
                    return None
                name, following = node.placeholder
                uri[name] = unquote(segment)
            node = following
        given = frozenset(query)
        for fixed, operation in node.operations.get(method, ()):
            if fixed <= given:
                return Route(operation, uri)
        return None

    def _add(self, operation: Any) -> None:
        path, _, query = operation.http["requestUri"].partition("?")
        node = self._root
        for segment in path.strip("/").split("/"):
            if segment.startswith("{"):
                if node.placeholder is None:
                    node.placeholder = (segment.strip("{}"), _Node())
                node = node.placeholder[1]
            else:
                node = node.literals.setdefault(segment, _Node())
        candidates = node.operations.setdefault(operation.http["method"], [])
        candidates.append((frozenset(parse_qsl(query, keep_blank_values=True)), operation))
        candidates.sort(key=lambda candidate: -len(candidate[0]))
