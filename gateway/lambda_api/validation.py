"""The constraints of the service model, with AWS's messages.

All that is wrong is collected and told at once, as AWS does. Values of sensitive shapes are never shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.lambda_api.errors import validation

LEFT_TO_OPERATIONS = frozenset({"Runtime"})
"""Shapes whose enums an operation judges itself: what there is depends on the fleet."""

_SHOWN_CHARACTERS = 256
# What Python's patterns lack of Java's: letters, numbers and separators of Unicode.
_JAVA_CLASSES = {
    r"\p{L}": r"\w",
    r"\p{N}": r"\w",
    r"\p{Z}": " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
}


def validate(shape: Any, parameters: Mapping[str, Any]) -> None:
    """Hold parsed parameters to their shape. Raises ApiError naming every broken constraint."""
    if shape is None:
        return
    broken = list(_structure(shape, parameters, ""))
    if broken:
        count = f"{len(broken)} validation error{'s' if len(broken) > 1 else ''} detected"
        raise validation(f"{count}: {'; '.join(broken)}")


def _structure(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, member in shape.members.items():
        place = path + _lower_first(name)
        if name in value:
            yield from _value(member, value[name], place)
        elif name in shape.required_members:
            yield f"Value null at '{place}' failed to satisfy constraint: Member must not be null"


def _value(shape: Any, value: Any, place: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure":
        yield from _structure(shape, value, f"{place}.")
        return
    for constraint in _broken(shape, value):
        yield _sentence(shape, value, place, constraint)
    if kind == "list":
        yield from _elements(shape, value, place)
    elif kind == "map":
        yield from _entries(shape, value, place)


def _elements(shape: Any, value: list[Any], place: str) -> Iterator[str]:
    if shape.member.type_name == "structure":
        for position, item in enumerate(value, 1):
            yield from _structure(shape.member, item, f"{place}.{position}.member.")
    elif any(_any_broken(shape.member, item) for item in value):
        yield _sentence(shape, value, place, f"Member must satisfy constraint: {_all_of(shape.member)}")


def _entries(shape: Any, value: dict[str, Any], place: str) -> Iterator[str]:
    if any(_any_broken(shape.key, key) for key in value):
        yield _sentence(shape, value, place, f"Map keys must satisfy constraint: {_all_of(shape.key)}")
    if any(_any_broken(shape.value, item) for item in value.values()):
        yield _sentence(shape, value, place, f"Map value must satisfy constraint: {_all_of(shape.value)}")


def _any_broken(shape: Any, value: Any) -> bool:
    return next(_broken(shape, value), None) is not None


def _broken(shape: Any, value: Any) -> Iterator[str]:
    """Constraints of the value itself that it breaks."""
    metadata = shape.metadata
    if shape.type_name in ("integer", "long", "float", "double"):
        size: float | None = value
    elif shape.type_name in ("string", "list", "map", "blob"):
        size = len(value)
    else:
        size = None
    if size is not None:
        if size > metadata.get("max", size):
            yield _at_most(shape)
        if size < metadata.get("min", size):
            yield _at_least(shape)
    if shape.type_name == "string":
        if "pattern" in metadata and not _compiled(metadata["pattern"]).fullmatch(value):
            yield _pattern(shape)
        if "enum" in metadata and value not in metadata["enum"] and shape.name not in LEFT_TO_OPERATIONS:
            yield _enum(shape)


def _all_of(shape: Any) -> str:
    """All constraints of a shape, as AWS lists them for elements, keys and values."""
    makers = {"max": _at_most, "min": _at_least, "pattern": _pattern, "enum": _enum}
    told = [make(shape) for name, make in makers.items() if name in shape.metadata]
    return f"[{', '.join([*told, 'Member must not be null'])}]"


def _at_most(shape: Any) -> str:
    return f"Member must have {_measure(shape)} less than or equal to {_number(shape, 'max')}"


def _at_least(shape: Any) -> str:
    return f"Member must have {_measure(shape)} greater than or equal to {_number(shape, 'min')}"


def _pattern(shape: Any) -> str:
    return f"Member must satisfy regular expression pattern: {shape.metadata['pattern']}"


def _enum(shape: Any) -> str:
    return f"Member must satisfy enum value set: [{', '.join(shape.metadata['enum'])}]"


def _measure(shape: Any) -> str:
    return "value" if shape.type_name in ("integer", "long", "float", "double") else "length"


def _number(shape: Any, limit: str) -> str:
    value = shape.metadata[limit]
    return str(float(value)) if shape.type_name in ("float", "double") else str(value)


def _sentence(shape: Any, value: Any, place: str, constraint: str) -> str:
    sensitive = any(_sensitive(part) for part in _parts(shape))
    shown = "" if sensitive else f" '{_shown(value)}'"
    return f"Value{shown} at '{place}' failed to satisfy constraint: {constraint}"


def _parts(shape: Any) -> tuple[Any, ...]:
    if shape.type_name == "map":
        return shape, shape.key, shape.value
    return (shape, shape.member) if shape.type_name == "list" else (shape,)


def _sensitive(shape: Any) -> bool:
    return bool(shape.metadata.get("sensitive")) or shape.type_name == "blob"


def _shown(value: Any) -> str:
    """A value as Java prints it, cut where it is long."""
    if isinstance(value, dict):
        text = "{" + ", ".join(f"{key}={_shown(item)}" for key, item in value.items()) + "}"
    elif isinstance(value, list):
        text = "[" + ", ".join(_shown(item) for item in value) + "]"
    else:
        text = str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]


def _compiled(pattern: str) -> re.Pattern[str]:
    for java, python in _JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern)
