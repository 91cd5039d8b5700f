"""The `wildcard` operator: `*` is any text; a backslash takes the meaning from `*` and from itself."""

from __future__ import annotations

from collections.abc import Callable

from triggers.event_source_mapping.filtering.errors import InvalidPattern


def wildcard_test(pattern: str) -> Callable[[str], bool]:
    """Whether a whole value fits; it never looks back, whatever the pattern. Raises `InvalidPattern`."""
    first, *rest = _literals(pattern)
    if not rest:
        return lambda value: value == first
    *middle, last = rest

    def fits(value: str) -> bool:
        at, end = len(first), len(value) - len(last)
        if at > end or not value.startswith(first) or not value.endswith(last):
            return False
        for literal in middle:
            at = value.find(literal, at, end)
            if at < 0:
                return False
            at += len(literal)
        return True

    return fits


def _literals(pattern: str) -> list[str]:
    """The texts between the wildcard characters."""
    literals = [""]
    characters = iter(pattern)
    after_wildcard = False
    for character in characters:
        if character == "*":
            if after_wildcard:
                raise InvalidPattern(f"Consecutive wildcard characters in {pattern!r}")
            literals.append("")
        else:
            literals[-1] += _escaped(next(characters, ""), pattern) if character == "\\" else character
        after_wildcard = character == "*"
    return literals


def _escaped(character: str, pattern: str) -> str:
    if character not in ("*", "\\"):
        raise InvalidPattern(f"Invalid escape character in {pattern!r}: only * and \\ can be escaped")
    return character
