"""The leaves of a pattern: what a single value of an event must look like.

Source: "Comparison operators for use in event patterns" in the EventBridge user guide; what it leaves open is
answered as AWS's Event Ruler library does (what is refused, the negations, numbers by value).
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from triggers.event_source_mapping.filtering.errors import InvalidPattern
from triggers.event_source_mapping.filtering.wildcards import wildcard_test

Scalar = str | int | float | bool | None
Test = Callable[[Scalar], bool]
"""Whether one value of an event fits."""


def equals(expected: Scalar) -> Test:
    """The same JSON value: 300 equals 300.0, but neither "300" nor true."""
    if isinstance(expected, bool) or expected is None:
        return lambda value: value is expected
    if isinstance(expected, str):
        return lambda value: value == expected
    return lambda value: _is_number(value) and value == expected


def matching(name: str, operand: object) -> Test:
    """The test that the match expression `{name: operand}` asks for, but for `exists`."""
    compiler = _COMPILERS.get(name)
    if compiler is None:
        raise InvalidPattern(f"Unrecognized match type {name}")
    return compiler(operand)


def _exactly(operand: object) -> Test:
    return equals(_text(operand, "exactly"))


def _prefix(operand: object) -> Test:
    if isinstance(operand, dict):
        start = _ignoring_case(operand, "prefix").casefold()
        return lambda value: isinstance(value, str) and value.casefold().startswith(start)
    start = _text(operand, "prefix")
    return lambda value: isinstance(value, str) and value.startswith(start)


def _suffix(operand: object) -> Test:
    if isinstance(operand, dict):
        end = _ignoring_case(operand, "suffix").casefold()
        return lambda value: isinstance(value, str) and value.casefold().endswith(end)
    end = _text(operand, "suffix")
    return lambda value: isinstance(value, str) and value.endswith(end)


def _equals_ignore_case(operand: object) -> Test:
    expected = _text(operand, "equals-ignore-case").casefold()
    return lambda value: isinstance(value, str) and value.casefold() == expected


def _wildcard(operand: object) -> Test:
    fits = wildcard_test(_text(operand, "wildcard"))
    return lambda value: isinstance(value, str) and fits(value)


def _cidr(operand: object) -> Test:
    network = _network(_text(operand, "cidr"))

    def inside(value: Scalar) -> bool:
        if not isinstance(value, str):
            return False
        try:
            return ip_address(value) in network
        except ValueError:
            return False

    return inside


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidPattern(f"Malformed CIDR {text!r}: {error}") from error


def _numeric(operand: object) -> Test:
    if not isinstance(operand, list):
        raise InvalidPattern("Value of numeric must be an array.")
    bounds = [_bound(operand[at : at + 2]) for at in range(0, len(operand), 2)]
    _check_range(bounds)

    def within(value: Scalar) -> bool:
        if value is None or isinstance(value, str | bool):
            return False
        return all(_COMPARE[operator](value, limit) for operator, limit in bounds)

    return within


def _bound(pair: list[object]) -> tuple[str, float]:
    operator = pair[0]
    if not isinstance(operator, str) or operator not in _COMPARE:
        raise InvalidPattern(f"Unrecognized numeric range operator: {operator}")
    limit = pair[1] if len(pair) == 2 else None
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise InvalidPattern(f"Value of {operator} must be numeric")
    return operator, limit


def _check_range(bounds: list[tuple[str, float]]) -> None:
    """One bound, or a lower one and then an upper one above it."""
    if not bounds:
        raise InvalidPattern("Invalid member in numeric match: ]")
    if len(bounds) == 1:
        return
    if len(bounds) > 2 or bounds[0][0] not in (">", ">="):
        raise InvalidPattern("Too many elements in numeric expression")
    if bounds[1][0] not in ("<", "<="):
        raise InvalidPattern(f"Bad numeric range operator: {bounds[1][0]}")
    if bounds[0][1] >= bounds[1][1]:
        raise InvalidPattern("Bottom must be less than top")


def _anything_but(operand: object) -> Test:
    tests = _forbidden(operand)
    return lambda value: not any(test(value) for test in tests)


def _forbidden(operand: object) -> list[Test]:
    if isinstance(operand, dict):
        name, values = _only_item(operand)
        if name not in ("prefix", "suffix", "equals-ignore-case", "wildcard"):
            raise InvalidPattern(f"Unsupported anything-but pattern: {name}")
        listed = values if isinstance(values, list) else [values]
        if not listed or "" in listed:
            raise InvalidPattern(f"Null {name} not allowed in anything-but")
        return [matching(name, _text(value, name)) for value in listed]
    values = operand if isinstance(operand, list) else [operand]
    return [equals(value) for value in _of_one_type(values)]


def _of_one_type(values: list[object]) -> list[Scalar]:
    strings = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int | float) and _is_number(value)]
    if values and len(strings) == len(values):
        return [*strings]
    if values and len(numbers) == len(values):
        return [*numbers]
    raise InvalidPattern(
        "Value of anything-but must be a string or a number, or a list of one of these types"
    )


def _ignoring_case(operand: dict[str, object], outer: str) -> str:
    name, value = _only_item(operand)
    if name != "equals-ignore-case":
        raise InvalidPattern(f"Unsupported {outer} pattern: {name}")
    return _text(value, name)


def _only_item(expression: dict[str, object]) -> tuple[str, object]:
    if len(expression) != 1:
        raise InvalidPattern("Only one key allowed in match expression")
    return next(iter(expression.items()))


def _text(operand: object, name: str) -> str:
    if not isinstance(operand, str):
        raise InvalidPattern(f"{name} match pattern must be a string")
    return operand


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": lambda value, limit: value == limit,
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
}

_COMPILERS: dict[str, Callable[[object], Test]] = {
    "exactly": _exactly,
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
    "cidr": _cidr,
    "numeric": _numeric,
    "anything-but": _anything_but,
}

MATCH_TYPES = frozenset(_COMPILERS) | {"exists"}
"""The words that may not name a field under `$or`."""
