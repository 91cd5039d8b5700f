"""The FilterCriteria of an event source mapping: which records go to the function.

A record passes when one of the filters matches it; without filters all pass. Source: "Control which events
Lambda sends to your function" and its pages for SQS and DynamoDB in the Lambda developer guide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from broker.foreign_json import UNREADABLE
from triggers.event_source_mapping.filtering.errors import InvalidPattern
from triggers.event_source_mapping.filtering.pattern import Leaf, Pattern, compile_pattern

MAXIMUM_FILTERS = 10
"""AWS grants five, and ten on request."""

MAXIMUM_PATTERN_CHARACTERS = 4096

BodyFormat = Literal["text", "json"]


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter; `body_formats`: how it asks for a queue message's `body`, empty where it does not."""

    pattern: Pattern
    body_formats: frozenset[BodyFormat]


@dataclass(frozen=True, slots=True)
class FilterCriteria:
    """The filters of a mapping, compiled. Immutable; asking costs no parsing of patterns."""

    filters: tuple[Filter, ...] = ()

    @classmethod
    def compile(cls, patterns: Iterable[str]) -> FilterCriteria:
        """From the `Pattern` strings of `FilterCriteria.Filters`.

        Raises `InvalidPattern` (a ValueError) with the text for the InvalidParameterValueException.
        """
        compiled = tuple(_compile(text) for text in patterns)
        if len(compiled) > MAXIMUM_FILTERS:
            raise InvalidPattern(f"There are {len(compiled)} filters; at most {MAXIMUM_FILTERS} are allowed.")
        return cls(compiled)

    def admits(self, record: Mapping[str, object]) -> bool:
        """Whether a stream's record passes, shaped as the function gets it (`dynamodb.NewImage...`)."""
        if not self.filters:
            return True
        return any(each.pattern.matches(record) for each in self.filters)

    def admits_message(self, record: Mapping[str, object]) -> bool:
        """Whether an SQS record passes, shaped as the function gets it: `body` is a string.

        A body that is a JSON object or array is matched by its members, any other as a string. A filter that
        asks for the other format than the body has drops the message, whatever else it asks.
        """
        if not self.filters:
            return True
        format_, body = _read_body(record.get("body"))
        view = {**record, "body": body}
        return any(
            each.pattern.matches(view)
            for each in self.filters
            if not each.body_formats or format_ in each.body_formats
        )


def _compile(text: str) -> Filter:
    if len(text) > MAXIMUM_PATTERN_CHARACTERS:
        raise InvalidPattern(
            f"It has {len(text)} characters; at most {MAXIMUM_PATTERN_CHARACTERS} are allowed."
        )
    pattern = compile_pattern(text)
    return Filter(pattern, frozenset(_body_formats(pattern)))


def _body_formats(pattern: Pattern) -> Iterator[BodyFormat]:
    body = pattern.fields.get("body")
    if body is not None:
        yield "text" if isinstance(body, Leaf) else "json"
    for group in pattern.alternatives:
        for alternative in group:
            yield from _body_formats(alternative)


def _read_body(body: object) -> tuple[BodyFormat, object]:
    if not isinstance(body, str) or not body.lstrip().startswith(("{", "[")):
        return "text", body
    try:
        return "json", msgspec.json.decode(body)
    except UNREADABLE:
        return "text", body
