"""Streamed responses as boto3 sees them: unmodified client, real system, a runtime that streams."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from tests.acceptance.functions import attempts, call, deploy, failing_call, reserved, signed_get
from tests.deployment_packages import package
from tests.live_system import LiveSystem, Role

NAME = "streamer"
BUFFERED = "streamer-buffered"
ROLES: tuple[Role, ...] = ("gateway", "redis")
BOOTSTRAP = (Path(__file__).parent / "guests" / "streaming_bootstrap.py").read_bytes()


@pytest.fixture(scope="module")
def system(shared_system: LiveSystem) -> Iterator[LiveSystem]:
    shared_system.deploy(
        NAME, package({"bootstrap": BOOTSTRAP}), runtime="provided.al2023", timeout_seconds=3
    )
    deploy(shared_system, BUFFERED)
    yield shared_system
    for name in (NAME, BUFFERED):
        shared_system.client.delete_function(FunctionName=name)


@pytest.fixture
def signal_file() -> Iterator[Path]:
    """A file that a function may wait for; it is not there yet."""
    path = Path("/var/tmp") / f"signal-{uuid.uuid4().hex}"
    yield path
    path.unlink(missing_ok=True)


def stream(system: LiveSystem, event: Any, name: str = NAME, **more: Any) -> Iterator[dict[str, Any]]:
    """The events of a streamed invocation, as they come."""
    answer = system.client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event), **more)
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    yield from answer["EventStream"]


def collect(events: Iterator[dict[str, Any]]) -> tuple[bytes, dict[str, Any]]:
    """All bytes and the InvokeComplete event, which must be the last."""
    received, complete = bytearray(), None
    for event in events:
        assert complete is None
        if "PayloadChunk" in event:
            received += event["PayloadChunk"]["Payload"]
        else:
            complete = event["InvokeComplete"]
    assert complete is not None
    return bytes(received), complete


@pytest.mark.usefixtures("running_system")
class TestStreams:
    def test_the_first_bytes_come_before_the_function_ends(
        self, system: LiveSystem, signal_file: Path
    ) -> None:
        events = stream(system, {"write": ["early ", "late"], "wait_for": str(signal_file)})
        assert next(events)["PayloadChunk"]["Payload"] == b"early "
        signal_file.touch()
        assert collect(events) == (b"late", {})

    def test_many_megabytes_come_whole(self, system: LiveSystem) -> None:
        received, complete = collect(stream(system, {"repeat": 320}))
        assert len(received) == 320 * 65536
        assert complete == {}

    def test_a_caller_that_does_not_read_holds_up_the_function_and_fills_nobody(
        self, system: LiveSystem
    ) -> None:
        serving = [psutil.Process(pid) for role in ROLES for pid in system.pids(role)]
        before = [process.memory_info().rss for process in serving]
        answer = system.client.invoke_with_response_stream(
            FunctionName=NAME, Payload=json.dumps({"repeat": 3000})
        )
        events = iter(answer["EventStream"])
        next(events)
        _, complete = collect(stream(system, {"repeat": 160}))  # others go on meanwhile
        assert complete == {}
        for _ in attempts("the others' end"):  # which is acknowledged a moment later
            if signed_get(system, "/lightswitch/v1/depth")["running"] == 1:
                break
        grown = [process.memory_info().rss - rss for process, rss in zip(serving, before, strict=True)]
        assert max(grown) < 30 << 20, grown
        answer["EventStream"].close()

    def test_an_empty_stream_completes(self, system: LiveSystem) -> None:
        assert collect(stream(system, {})) == (b"", {})

    def test_a_function_that_answers_whole_comes_in_chunks_too(self, system: LiveSystem) -> None:
        assert collect(stream(system, {"whole": [1, 2]})) == (b"[1, 2]", {})
        event = {"text": "x" * 1_000_000}
        received, complete = collect(stream(system, event, BUFFERED))
        assert (json.loads(received), complete) == (event, {})

    def test_the_tail_of_the_log_comes_with_the_end(self, system: LiveSystem) -> None:
        _, complete = collect(stream(system, {"write": ["x"]}, LogType="Tail"))
        assert set(complete) == {"LogResult"}

    def test_a_dry_run_runs_nothing(self, system: LiveSystem) -> None:
        answer = system.client.invoke_with_response_stream(
            FunctionName=NAME, InvocationType="DryRun", Payload=b"{}"
        )
        answer["EventStream"].close()
        assert answer["StatusCode"] == 204


@pytest.mark.usefixtures("running_system")
class TestFailures:
    def test_an_error_in_the_middle_comes_after_what_was_sent(self, system: LiveSystem) -> None:
        received, complete = collect(stream(system, {"write": ["begun"], "fail": "half way"}))
        assert received == b"begun"
        assert complete["ErrorCode"] == "Unhandled"
        assert json.loads(complete["ErrorDetails"]) == {"errorType": "Oops", "errorMessage": "half way"}

    @pytest.mark.parametrize(
        ("event", "error_type"),
        [
            ({"write": ["begun"], "exit": 7}, "Runtime.ExitError"),
            ({"write": ["begun"], "break": True}, "Runtime.TruncatedResponse"),
            ({"write": ["begun"], "hang": True}, "Sandbox.Timedout"),
        ],
    )
    def test_who_does_not_finish_is_told_of(
        self, system: LiveSystem, event: dict[str, Any], error_type: str
    ) -> None:
        received, complete = collect(stream(system, event))
        assert received == b"begun"
        assert json.loads(complete["ErrorDetails"])["errorType"] == error_type
        assert collect(stream(system, {"write": ["well"]})) == (b"well", {})

    def test_an_error_before_the_first_byte_completes_with_it(self, system: LiveSystem) -> None:
        received, complete = collect(stream(system, {"error": "no"}))
        assert received == b""
        assert json.loads(complete["ErrorDetails"])["errorType"] == "Refused"

    def test_an_unknown_function_is_not_found(self, system: LiveSystem) -> None:
        with pytest.raises(ClientError, match="Function not found"):
            system.client.invoke_with_response_stream(FunctionName="nobody", Payload=b"{}")

    def test_calls_above_the_reserved_concurrency_are_throttled(self, system: LiveSystem) -> None:
        with reserved(system, NAME, 0), pytest.raises(ClientError, match="Rate Exceeded"):
            system.client.invoke_with_response_stream(FunctionName=NAME, Payload=b"{}")

    def test_a_caller_that_hangs_up_frees_what_it_held(self, system: LiveSystem) -> None:
        with reserved(system, NAME, 1):
            answer = system.client.invoke_with_response_stream(
                FunctionName=NAME, Payload=json.dumps({"repeat": 3000})
            )
            next(iter(answer["EventStream"]))
            for _ in attempts("the end of what ran before"):  # which is acknowledged a moment later
                if signed_get(system, "/lightswitch/v1/depth")["running"] == 1:
                    break
            answer["EventStream"].close()
            for _ in attempts("the run of a caller that is gone to end"):
                if signed_get(system, "/lightswitch/v1/depth")["running"] == 0:
                    break
            assert collect(stream(system, {"write": ["next"]})) == (b"next", {})


@pytest.mark.usefixtures("running_system")
class TestPlainInvoke:
    def test_a_stream_is_collected(self, system: LiveSystem) -> None:
        assert call(system, NAME, {"write": ['{"a"', ":1}"]}) == {"a": 1}

    def test_an_error_in_the_middle_is_the_answer(self, system: LiveSystem) -> None:
        assert failing_call(system, NAME, {"write": ["begun"], "fail": "no"})["errorType"] == "Oops"

    def test_more_than_six_megabytes_are_refused(self, system: LiveSystem) -> None:
        document = failing_call(system, NAME, {"repeat": 97})
        assert document["errorType"] == "Function.ResponseSizeTooLarge"
