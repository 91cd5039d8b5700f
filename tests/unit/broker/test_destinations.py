"""Records that destinations receive, against the shape that AWS documents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from broker.destinations import follow_up, function_of, notice, record, tells
from broker.invocation import LATEST, Condition, Invocation, Outcome, Sequel, Tell
from broker.lineage import counted
from broker.registry.model import Alias, EventInvokeConfig, FunctionConfig, FunctionRecord

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"


def cause(payload: bytes = b'{"n":1}', qualifier: str = "") -> Invocation:
    arn = f"{ARN}:{qualifier}" if qualifier else ARN
    return Invocation(
        "id-1",
        "async",
        "f",
        LATEST,
        1,
        arn,
        payload,
        0,
        1,
        trace_header="Root=1",
        qualifier=qualifier,
    )


def target() -> FunctionRecord:
    config = FunctionConfig(LATEST, "python3.11", "a.b", "role", "", 1, "", "")
    return FunctionRecord("t", 7, config, aliases={"live": Alias("live", "3", "r")})


def parsed(**changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"condition": "Success", "runs": 1, "response": b'{"ok":true}'}
    document: dict[str, Any] = json.loads(record(cause(), **{**arguments, **changes}))
    return document


def test_a_success_record_has_request_and_response() -> None:
    document = parsed()
    assert document.pop("timestamp").endswith("Z")
    assert document == {
        "version": "1.0",
        "requestContext": {
            "requestId": "id-1",
            "functionArn": f"{ARN}:$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"n": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"ok": True},
    }


def test_a_failure_record_names_the_function_error() -> None:
    document = parsed(condition="RetriesExhausted", runs=3, function_error="Unhandled")
    assert document["requestContext"]["approximateInvokeCount"] == 3
    assert document["responseContext"]["functionError"] == "Unhandled"


def test_an_invocation_that_never_ran_has_no_response() -> None:
    document = parsed(condition="ZeroReservedConcurrency", runs=0, response=None)
    assert document["requestContext"]["approximateInvokeCount"] == 0
    assert "responseContext" not in document
    assert "responsePayload" not in document


@pytest.mark.parametrize("response", [b"not json", b'["\xff"]', b"[" * 5000 + b"]" * 5000])
def test_a_payload_that_is_no_json_becomes_a_string(response: bytes) -> None:
    assert parsed(response=response)["responsePayload"] == response.decode("utf-8", "replace")


def test_the_qualifier_stays_in_the_arn() -> None:
    document = json.loads(record(cause(qualifier="live"), "Success", 1, b"1"))
    assert document["requestContext"]["functionArn"] == f"{ARN}:live"


def test_the_condition_chooses_who_hears_of_it() -> None:
    config, bare = EventInvokeConfig(0, on_success="s", on_failure="f"), target()
    function = replace(bare, latest=replace(bare.latest, dead_letter_arn="q"))
    assert tells(function, config, "Success") == (Tell("s", "record"),)
    assert tells(function, config, "EventAgeExceeded") == (Tell("f", "record"), Tell("q", "event"))
    assert tells(bare, config, "EventAgeExceeded") == (Tell("f", "record"),)
    assert tells(bare, None, "Success") == ()


def sequel(condition: Condition, attempts: int, response: bytes | None, error: str = "") -> Sequel:
    outcome = Outcome("id-1", "f", LATEST, "failed", attempts, attempts, 1_573_755_365_568, error=error)
    return Sequel(outcome, condition, (), (), response, "Unhandled")


TEXT = "ä" + "x" * 2000


def test_a_dead_letter_is_the_event_alone_with_its_error() -> None:
    document = ('{"errorMessage":"' + TEXT + '"}').encode()
    told = notice(cause(), sequel("RetriesExhausted", 3, document), Tell("q", "event"))
    assert told.body == b'{"n":1}'
    message = told.attributes["ErrorMessage"]
    assert isinstance(message, str)
    assert message == TEXT[:1023]
    assert (told.attributes["RequestID"], told.attributes["ErrorCode"]) == ("id-1", 200)
    unrun = notice(cause(), sequel("ZeroReservedConcurrency", 0, None), Tell("q", "event"))
    assert (unrun.attributes["ErrorCode"], unrun.attributes["ErrorMessage"]) == (429, "Rate Exceeded.")


def test_a_notice_is_the_same_each_time_and_has_a_short_form() -> None:
    ended = sequel("RetriesExhausted", 3, b'{"errorMessage":"no"}')
    told = notice(cause(), ended, Tell("s", "record"))
    assert told == notice(cause(), ended, Tell("s", "record"))
    document, short = json.loads(told.body), json.loads(told.short_body)
    assert document["timestamp"] == "2019-11-14T18:16:05.568Z"
    assert document["responsePayload"] == {"errorMessage": "no"}
    assert short == {k: v for k, v in document.items() if not k.endswith("Payload")}
    assert told.detail_type == "Lambda Function Invocation Result - Failure"
    assert told.resources == (f"{ARN}:$LATEST",)
    assert "Lineage=" in told.trace_header


def test_a_follow_up_runs_the_version_behind_an_alias_and_counts_the_hop() -> None:
    arn = "arn:aws:lambda:us-east-1:123456789012:function:t:live"
    made = follow_up(cause(), target(), arn, b"{}")
    assert (made.function_name, made.version, made.invoked_arn, made.generation) == ("t", "3", arn, 7)
    assert (made.kind, made.trace_header) == ("async", counted("Root=1", "f"))
    assert function_of(arn) == "t"
