"""Patterns in the EventBridge language, compiled once and asked for every event.

A pattern has the structure of the events it matches. All its fields must match; a field matches when one
value of the event passes one of the field's tests. A value that is an array stands for each of its elements,
and what is asked of the fields of one object in an array must hold in the same element.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from broker.foreign_json import UNREADABLE
from triggers.event_source_mapping.filtering.errors import InvalidPattern
from triggers.event_source_mapping.filtering.value_tests import MATCH_TYPES, Scalar, Test, equals, matching

OR = "$or"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A field's tests; `absent_too` where it may be missing (`exists: false`)."""

    tests: tuple[Test, ...]
    absent_too: bool

    @property
    def only_absence(self) -> bool:
        return not self.tests

    def matches(self, value: object) -> bool:
        """`value`: any JSON, or `_MISSING`."""
        found = False
        for scalar in _scalars(value):
            found = True
            if any(test(scalar) for test in self.tests):
                return True
        return self.absent_too and not found


@dataclass(frozen=True, slots=True)
class Pattern:
    """An object of the pattern: fields that must all match, and groups of which one alternative must."""

    fields: dict[str, Leaf | Pattern]
    alternatives: tuple[tuple[Pattern, ...], ...]

    @property
    def only_absence(self) -> bool:
        """Nothing is asked but that fields are missing."""
        return not self.alternatives and all(node.only_absence for node in self.fields.values())

    def matches(self, value: object) -> bool:
        """Whether the event, or a part of it, fits. `value`: any JSON as msgspec decodes it."""
        if isinstance(value, dict):
            return self._matches_object(value)
        elements = list(_objects(value))
        if not elements:
            return self._matches_object({})
        if self.only_absence:
            return all(self._matches_object(element) for element in elements)
        return any(self._matches_object(element) for element in elements)

    def _matches_object(self, value: dict[str, object]) -> bool:
        return all(node.matches(value.get(name, _MISSING)) for name, node in self.fields.items()) and all(
            any(pattern.matches(value) for pattern in group) for group in self.alternatives
        )


_MISSING: tuple[()] = ()
"""A field that the event does not have: no values at all. JSON decodes to no tuples."""


def _scalars(value: object) -> Iterator[Scalar]:
    if isinstance(value, list):
        for element in value:
            yield from _scalars(element)
    elif value is None or isinstance(value, str | int | float):
        yield value


def _objects(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, list):
        for element in value:
            yield from _objects(element)
    elif isinstance(value, dict):
        yield value


def compile_pattern(text: str) -> Pattern:
    """The pattern written as JSON in `text`. Raises `InvalidPattern`, naming the field and what is wrong."""
    try:
        document = msgspec.json.decode(text)
    except UNREADABLE as error:
        raise InvalidPattern(f"It is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidPattern("Filter is not an object")
    return _compile_object(document, "")


def _compile_object(document: dict[str, object], path: str) -> Pattern:
    if not document:
        raise InvalidPattern(f"Empty objects are not allowed{_at(path)}")
    fields: dict[str, Leaf | Pattern] = {}
    alternatives: list[tuple[Pattern, ...]] = []
    for name, value in document.items():
        where = f"{path}.{name}" if path else name
        if name == OR and (group := _alternatives(value)):
            alternatives.append(tuple(_compile_object(member, where) for member in group))
        else:
            fields[name] = _compile_field(value, where)
    return Pattern(fields, tuple(alternatives))


def _alternatives(value: object) -> list[dict[str, object]]:
    """The members of an "or"; none where `$or` is a field's name like any other.

    As AWS has it: two or more objects, none of which uses an operator's name for a field.
    """
    if not isinstance(value, list) or len(value) < 2:
        return []
    members = [member for member in value if isinstance(member, dict) and not MATCH_TYPES & member.keys()]
    return members if len(members) == len(value) else []


def _compile_field(value: object, path: str) -> Leaf | Pattern:
    if isinstance(value, dict):
        return _compile_object(value, path)
    if not isinstance(value, list):
        raise InvalidPattern(f'"{path}" must be an object or an array')
    if not value:
        raise InvalidPattern(f"Empty arrays are not allowed{_at(path)}")
    return _compile_leaf(value, path)


def _compile_leaf(members: list[object], path: str) -> Leaf:
    tests: list[Test] = []
    absent_too = False
    for member in members:
        if isinstance(member, dict) and len(member) == 1 and member.get("exists") is False:
            absent_too = True
        else:
            tests.append(_compile_test(member, path))
    return Leaf(tuple(tests), absent_too)


def _compile_test(member: object, path: str) -> Test:
    if member is None or isinstance(member, str | int | float):
        return equals(member)
    if not isinstance(member, dict):
        raise InvalidPattern(f"Match value must be String, number, true, false, or null{_at(path)}")
    if len(member) != 1:
        raise InvalidPattern(f"Only one key allowed in match expression{_at(path)}")
    name, operand = next(iter(member.items()))
    if name == "exists":
        return _exists(operand, path)
    try:
        return matching(name, operand)
    except InvalidPattern as error:
        raise InvalidPattern(f"{error.reason}{_at(path)}") from error


def _exists(operand: object, path: str) -> Test:
    if operand is not True:
        raise InvalidPattern(f"exists match pattern must be either true or false.{_at(path)}")
    return lambda value: True


def _at(path: str) -> str:
    return f' (at "{path}")' if path else ""
