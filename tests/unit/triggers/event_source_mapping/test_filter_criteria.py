"""Lambda's rules on top of the patterns: several filters, bodies of messages, records of tables."""

from __future__ import annotations

import json

import pytest

from triggers.event_source_mapping.filtering.criteria import FilterCriteria
from triggers.event_source_mapping.filtering.errors import InvalidPattern


def criteria(*patterns: object) -> FilterCriteria:
    return FilterCriteria.compile(json.dumps(pattern) for pattern in patterns)


def message(body: str) -> dict[str, object]:
    return {"messageId": "1", "body": body, "attributes": {"ApproximateReceiveCount": "1"}}


def test_without_filters_everything_passes() -> None:
    assert criteria().admits({"eventName": "INSERT"})
    assert criteria().admits_message(message("anything"))


def test_one_of_several_filters_is_enough() -> None:
    either = criteria({"eventName": ["INSERT"]}, {"eventName": ["REMOVE"]})

    assert either.admits({"eventName": "REMOVE"})
    assert not either.admits({"eventName": "MODIFY"})


def test_items_of_a_table_are_matched_in_their_typed_form() -> None:
    expensive = criteria({"dynamodb": {"NewImage": {"kind": {"S": ["car"]}, "tags": {"SS": ["red"]}}}})

    image = {"kind": {"S": "car"}, "tags": {"SS": ["blue", "red"]}}
    assert expensive.admits({"eventName": "INSERT", "dynamodb": {"NewImage": image}})
    assert not expensive.admits({"eventName": "REMOVE", "dynamodb": {"Keys": {}}})


def test_a_json_body_is_matched_by_its_members() -> None:
    large = criteria({"body": {"RecordNumber": [{"numeric": [">", 9999]}]}})

    assert large.admits_message(message('{"RecordNumber": 10000}'))
    assert not large.admits_message(message('{"RecordNumber": 1}'))


def test_a_plain_body_is_matched_as_a_string() -> None:
    results = criteria({"body": [{"prefix": "Result: "}]})

    assert results.admits_message(message("Result: 5"))
    assert not results.admits_message(message("Failure: 5"))


@pytest.mark.parametrize("body", ['{"broken', "17", '"quoted"', "", "[" * 4000])
def test_a_body_that_is_no_json_object_or_array_is_plain(body: str) -> None:
    assert criteria({"body": [body]}).admits_message(message(body))


@pytest.mark.parametrize(
    ("pattern", "body"),
    [
        ({"body": {"a": [{"exists": False}]}}, "plain"),
        ({"body": [{"exists": False}]}, '{"a": 1}'),
        ({"body": ["a"]}, '["a"]'),
    ],
)
def test_a_body_in_another_format_than_the_filter_asks_for_is_dropped(pattern: object, body: str) -> None:
    assert not criteria(pattern).admits_message(message(body))


@pytest.mark.parametrize("body", ["plain", '{"a": 1}'])
def test_a_filter_that_asks_nothing_of_the_body_takes_both_formats(body: str) -> None:
    assert criteria({"attributes": {"ApproximateReceiveCount": ["1"]}}).admits_message(message(body))


def test_alternatives_may_ask_for_both_formats() -> None:
    either = criteria({"$or": [{"body": ["ping"]}, {"body": {"kind": ["ping"]}}]})

    assert either.admits_message(message("ping"))
    assert either.admits_message(message('{"kind": "ping"}'))
    assert not either.admits_message(message("pong"))


def test_ten_filters_are_the_most() -> None:
    assert len(criteria(*[{"a": [number]} for number in range(10)]).filters) == 10
    with pytest.raises(InvalidPattern, match="There are 11 filters"):
        criteria(*[{"a": [number]} for number in range(11)])


def test_a_pattern_has_a_greatest_length() -> None:
    with pytest.raises(InvalidPattern, match="at most 4096 are allowed"):
        criteria({"a": ["x" * 4096]})
