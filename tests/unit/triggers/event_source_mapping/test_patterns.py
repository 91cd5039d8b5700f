"""The pattern language: one sentence for each operator, and for what is refused."""

from __future__ import annotations

import json
import time

import pytest

from triggers.event_source_mapping.filtering.errors import InvalidPattern
from triggers.event_source_mapping.filtering.pattern import compile_pattern

ABSENT = object()


def fits(pattern: object, event: object) -> bool:
    return compile_pattern(json.dumps(pattern)).matches(event)


def value_fits(test: object, value: object) -> bool:
    """Whether a field with this value passes this test alone."""
    return fits({"field": [test]}, {} if value is ABSENT else {"field": value})


@pytest.mark.parametrize(
    ("test", "passing", "failing"),
    [
        ("a", ["a", ["b", "a"], [["a"]]], ["A", "ab", "", 1, None, {"a": 1}, ABSENT]),
        ("", [""], ["a", None, ABSENT]),
        (300, [300, 300.0, 3.0e2], ["300", 301, True, ABSENT]),
        (1, [1], [True, "1"]),
        (True, [True], [1, "true", False]),
        (None, [None], ["", "null", 0, ABSENT]),
        ({"exactly": "a"}, ["a"], ["b"]),
        ({"prefix": "us-"}, ["us-east-1", "us-"], ["eu-us-", "US-east", 1, None, ABSENT]),
        ({"prefix": {"equals-ignore-case": "us-"}}, ["US-east-1", "us-x"], ["eu-"]),
        ({"suffix": ".png"}, ["a.png", ".png"], ["a.PNG", "png", 1, ABSENT]),
        ({"suffix": {"equals-ignore-case": ".png"}}, ["a.PNG", "b.png"], ["a.jpg"]),
        ({"equals-ignore-case": "Alice"}, ["alice", "ALICE"], ["alice ", None]),
        ({"anything-but": "a"}, ["b", 1, None, True, ["a", "b"]], ["a", ["a"], [], ABSENT]),
        ({"anything-but": ["a", "b"]}, ["c", 5], ["a", "b", ["a", "b"]]),
        ({"anything-but": 123}, [124, "123"], [123, 123.0]),
        ({"anything-but": [1, 2]}, [3], [1, 2]),
        ({"anything-but": {"prefix": "us-"}}, ["eu-1", 7], ["us-1", ABSENT]),
        ({"anything-but": {"prefix": ["us-", "eu-"]}}, ["ap-1"], ["us-1", "eu-1"]),
        ({"anything-but": {"suffix": ".png"}}, ["a.jpg"], ["a.png"]),
        ({"anything-but": {"equals-ignore-case": "x"}}, ["y"], ["x", "X"]),
        ({"anything-but": {"equals-ignore-case": ["x", "y"]}}, ["z"], ["X", "Y"]),
        ({"anything-but": {"wildcard": "*/lib/*"}}, ["/src/a"], ["/usr/lib/a"]),
        ({"numeric": ["=", 3.018e2]}, [301.8], [301, "301.8", None, True]),
        ({"numeric": [">", 0, "<=", 5]}, [0.1, 5], [0, 5.1, "3", ABSENT]),
        ({"numeric": ["<", 10]}, [-3, 9.99], [10]),
        ({"numeric": [">=", 10]}, [10, 1e12], [9]),
        ({"numeric": ["=", 1]}, [1], [True]),
        ({"exists": True}, ["", None, 0, [1]], [ABSENT, {"x": 1}, [], {}]),
        ({"exists": False}, [ABSENT, {"x": 1}, []], ["", None, 0, [None]]),
        ({"cidr": "10.0.0.0/24"}, ["10.0.0.33"], ["10.0.1.1", "no address", 5, "2001:db8::1"]),
        ({"cidr": "2001:db8::/32"}, ["2001:db8::1"], ["2001:db9::1", "10.0.0.1"]),
        ({"wildcard": "dir/*.png"}, ["dir/a.png", "dir/.png", "dir/a/b\n.png"], ["dir.png", "dir/a.pngx"]),
        ({"wildcard": "*a*b*"}, ["ab", "xaxbx"], ["ba", "a"]),
        ({"wildcard": "a*a"}, ["aa", "aba"], ["a"]),
        ({"wildcard": "*"}, ["", "x"], [1, ABSENT]),
        ({"wildcard": r"a\*b\\*"}, ["a*b\\", "a*b\\more"], ["axb\\", "a*b"]),
        ({"wildcard": "plain."}, ["plain."], ["plainx"]),
    ],
)
def test_an_operator_accepts_and_rejects(test: object, passing: list[object], failing: list[object]) -> None:
    assert [value for value in passing if not value_fits(test, value)] == []
    assert [value for value in failing if value_fits(test, value)] == []


def test_all_fields_must_match_and_one_test_of_each() -> None:
    pattern = {"a": ["x", {"prefix": "y"}], "b": {"c": [1]}}

    assert fits(pattern, {"a": "yes", "b": {"c": 1, "d": 2}, "e": 0})
    assert not fits(pattern, {"a": "yes", "b": {"c": 2}})
    assert not fits(pattern, {"a": "no", "b": {"c": 1}})
    assert not fits(pattern, {"a": "x", "b": 1})


def test_absence_may_be_asked_beside_a_value() -> None:
    pattern = {"a": [{"exists": False}, "x"]}

    assert fits(pattern, {})
    assert fits(pattern, {"a": "x"})
    assert not fits(pattern, {"a": "y"})


def test_a_missing_object_has_no_fields() -> None:
    assert fits({"a": {"b": [{"exists": False}]}}, {})
    assert not fits({"a": {"b": [{"exists": True}]}}, {"a": "text"})


def test_fields_of_one_object_in_an_array_match_together() -> None:
    pattern = {"items": {"name": ["pen"], "count": [{"numeric": [">", 5]}]}}

    assert fits(pattern, {"items": [{"name": "ink", "count": 1}, {"name": "pen", "count": 9}]})
    assert not fits(pattern, {"items": [{"name": "pen", "count": 1}, {"name": "ink", "count": 9}]})


def test_absence_in_an_array_means_in_none_of_its_objects() -> None:
    pattern = {"items": {"sold": [{"exists": False}]}}

    assert fits(pattern, {"items": [{"name": "pen"}, {"name": "ink"}]})
    assert not fits(pattern, {"items": [{"name": "pen"}, {"sold": True}]})


def test_or_takes_one_of_its_alternatives_and_may_be_nested() -> None:
    pattern = {
        "source": ["shop"],
        "$or": [
            {"total": [{"numeric": [">", 100]}]},
            {"vip": [True], "detail": {"$or": [{"day": ["Mon"]}, {"day": ["Tue"]}]}},
        ],
    }

    assert fits(pattern, {"source": "shop", "total": 101})
    assert fits(pattern, {"source": "shop", "vip": True, "detail": {"day": "Tue"}})
    assert not fits(pattern, {"source": "shop", "vip": True, "detail": {"day": "Wed"}})
    assert not fits(pattern, {"source": "else", "total": 101})


@pytest.mark.parametrize("alternatives", [["x"], {"a": ["x"]}])
def test_or_is_a_plain_name_where_it_holds_no_alternatives(alternatives: object) -> None:
    assert fits(
        {"$or": alternatives}, {"$or": "x"} if isinstance(alternatives, list) else {"$or": {"a": "x"}}
    )


def test_many_wildcards_take_no_longer_than_a_few() -> None:
    pattern = compile_pattern(json.dumps({"a": [{"wildcard": "*a" * 30 + "b"}]}))
    began = time.process_time()

    assert not pattern.matches({"a": "a" * 100_000})
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("[1", "It is no JSON"),
        ("null", "Filter is not an object"),
        ('["a"]', "Filter is not an object"),
        ("{}", "Empty objects are not allowed"),
        ('{"a": {}}', 'Empty objects are not allowed (at "a")'),
        ('{"a": []}', 'Empty arrays are not allowed (at "a")'),
        ('{"a": {"b": "x"}}', '"a.b" must be an object or an array'),
        ('{"a": [["x"]]}', "Match value must be String, number, true, false, or null"),
        ('{"a": [{"starts": "x"}]}', 'Unrecognized match type starts (at "a")'),
        ('{"a": [{}]}', "Only one key allowed in match expression"),
        ('{"a": [{"prefix": "x", "suffix": "y"}]}', "Only one key allowed in match expression"),
        ('{"a": [{"prefix": 1}]}', "prefix match pattern must be a string"),
        ('{"a": [{"prefix": {"suffix": "x"}}]}', "Unsupported prefix pattern: suffix"),
        ('{"a": [{"suffix": null}]}', "suffix match pattern must be a string"),
        ('{"a": [{"equals-ignore-case": ["x"]}]}', "equals-ignore-case match pattern must be a string"),
        ('{"a": [{"exists": "yes"}]}', "exists match pattern must be either true or false."),
        ('{"a": [{"exists": 0}]}', "exists match pattern must be either true or false."),
        ('{"a": [{"wildcard": "a**"}]}', "Consecutive wildcard characters in 'a**'"),
        ('{"a": [{"wildcard": "a\\\\b"}]}', "Invalid escape character"),
        ('{"a": [{"wildcard": "a\\\\"}]}', "Invalid escape character"),
        ('{"a": [{"cidr": "10.0.0.0/99"}]}', "Malformed CIDR '10.0.0.0/99'"),
        ('{"a": [{"anything-but": []}]}', "Value of anything-but must be"),
        ('{"a": [{"anything-but": ["x", 1]}]}', "Value of anything-but must be"),
        ('{"a": [{"anything-but": null}]}', "Value of anything-but must be"),
        ('{"a": [{"anything-but": [true]}]}', "Value of anything-but must be"),
        ('{"a": [{"anything-but": {"numeric": ["=", 1]}}]}', "Unsupported anything-but pattern: numeric"),
        ('{"a": [{"anything-but": {"prefix": ""}}]}', "Null prefix not allowed in anything-but"),
        ('{"a": [{"anything-but": {"prefix": [1]}}]}', "prefix match pattern must be a string"),
        ('{"a": [{"numeric": 5}]}', "Value of numeric must be an array."),
        ('{"a": [{"numeric": []}]}', "Invalid member in numeric match"),
        ('{"a": [{"numeric": ["~", 5]}]}', "Unrecognized numeric range operator: ~"),
        ('{"a": [{"numeric": [">"]}]}', "Value of > must be numeric"),
        ('{"a": [{"numeric": [">", "5"]}]}', "Value of > must be numeric"),
        ('{"a": [{"numeric": ["=", 5, "<", 6]}]}', "Too many elements in numeric expression"),
        ('{"a": [{"numeric": [">", 5, ">", 6]}]}', "Bad numeric range operator: >"),
        ('{"a": [{"numeric": [">", 5, "<", 5]}]}', "Bottom must be less than top"),
        ('{"$or": [{"prefix": 1}, {"a": [1]}]}', "Only one key|prefix match"),
    ],
)
def test_what_is_no_pattern_is_refused_with_the_reason_and_the_place(pattern: str, reason: str) -> None:
    with pytest.raises(InvalidPattern, match=r"^Invalid filter pattern definition\. ") as refused:
        compile_pattern(pattern)
    assert any(part in str(refused.value) for part in reason.split("|"))
