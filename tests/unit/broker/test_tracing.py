"""Trace context in W3C's and in AWS's notation."""

from __future__ import annotations

from broker.tracing import Tracing, new_trace_header, trace_header_of, traceparent_of

TRACEPARENT = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"
HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


def test_the_two_notations_say_the_same() -> None:
    assert trace_header_of(TRACEPARENT) == HEADER
    assert traceparent_of(HEADER) == TRACEPARENT


def test_malformed_contexts_are_dropped() -> None:
    assert trace_header_of("nonsense") == ""
    assert traceparent_of("Root=1-short") == ""
    assert traceparent_of("") == ""


def test_a_new_header_is_complete_and_unique() -> None:
    one, two = new_trace_header(), new_trace_header()
    assert one != two
    assert traceparent_of(one).endswith("-00")


def test_tracing_is_off_without_an_endpoint() -> None:
    assert not Tracing.from_environ("gateway", {}).enabled
    off = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}
    assert not Tracing.from_environ("gateway", off).enabled
