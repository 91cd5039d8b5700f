"""What is believed of a function's report, and which imported set serves which function."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from worker.sandbox.import_sets import (
    MOST_CHANGED,
    MOST_MODULES,
    FunctionImports,
    ImportSet,
    best_for,
    is_worth_it,
    read_report,
)

NOBODY = frozenset[str]()


def imports(*modules: str, changed: tuple[str, ...] = ()) -> FunctionImports:
    return FunctionImports(frozenset(modules), frozenset(changed))


def kept(*modules: str, seconds: float = 0.1, read: Mapping[str, str | None] | None = None) -> ImportSet:
    return ImportSet("3.12", tuple(sorted(modules)), tuple((read or {}).items()), seconds, 1000)


def report(*modules: str, changed: tuple[str, ...] = ()) -> bytes:
    return json.dumps({"modules": modules, "changed": changed}).encode()


def test_a_report_names_modules_and_changed_variables() -> None:
    assert read_report(report("boto3", "boto3.session", changed=("HOME",))) == imports(
        "boto3", "boto3.session", changed=("HOME",)
    )


@pytest.mark.parametrize(
    "garbage", [b"", b"[]", b"{", b'{"modules": 3, "changed": []}', b"\xff", b"1" * 70_000]
)
def test_what_is_no_report_says_nothing(garbage: bytes) -> None:
    assert read_report(garbage) is None


def test_too_many_modules_say_nothing() -> None:
    assert read_report(report(*(f"m{number}" for number in range(MOST_MODULES + 1)))) is None


def test_too_many_changed_variables_say_nothing() -> None:
    changed = tuple(f"V{number}" for number in range(MOST_CHANGED + 1))
    assert read_report(report("json", changed=changed)) is None


@pytest.mark.parametrize(
    "name", ["venv.__main__", "antigravity", "test.support", "../x", "a b", "", "a..b", ".a"]
)
def test_programs_and_what_is_no_name_are_left_out(name: str) -> None:
    assert read_report(report(name, "json")) == imports("json")


def test_a_set_serves_who_imported_all_of_it() -> None:
    found = kept("boto3", "six")
    assert found.serves(imports("boto3", "six", "csv"), {}, NOBODY)
    assert not found.serves(imports("boto3"), {}, NOBODY)


def test_it_does_not_serve_who_brings_one_of_its_modules() -> None:
    assert not kept("boto3.session", "six").serves(
        imports("boto3.session", "six"), {}, frozenset({"boto3", "app"})
    )


def test_it_serves_whose_variables_are_as_they_were_read() -> None:
    found, function = kept("boto3", read={"HOME": "/tmp", "DEBUG": None}), imports("boto3")
    assert found.serves(function, {"HOME": "/tmp", "OTHER": "x"}, NOBODY)
    assert not found.serves(function, {"HOME": "/root"}, NOBODY)
    assert not found.serves(function, {}, NOBODY)
    assert not found.serves(function, {"HOME": "/tmp", "DEBUG": ""}, NOBODY)


def test_it_does_not_serve_who_changes_one_of_them_at_init() -> None:
    found = kept("boto3", read={"HOME": "/tmp"})
    assert not found.serves(imports("boto3", changed=("HOME",)), {"HOME": "/tmp"}, NOBODY)


def test_the_best_one_spares_most() -> None:
    small, large, foreign = kept("a", seconds=0.03), kept("a", "b", seconds=0.2), kept("c", seconds=9.0)
    assert best_for([small, large, foreign], imports("a", "b"), {}, NOBODY) == large
    assert best_for([foreign], imports("a", "b"), {}, NOBODY) is None


def test_a_set_is_worth_it_for_what_it_spares_beyond_others() -> None:
    assert is_worth_it(kept("a", seconds=0.02), [])
    assert not is_worth_it(kept("a", seconds=0.019), [])
    assert not is_worth_it(kept("a", "b", seconds=0.1), [kept("a", seconds=0.09)])
    assert is_worth_it(kept("a", "b", seconds=0.1), [kept("c", seconds=0.09)])
