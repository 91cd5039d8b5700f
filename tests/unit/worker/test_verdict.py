"""AWS's words for how a run ended."""

from __future__ import annotations

import json

from worker.environments.interface import Exited, HandlerFailed, InitFailed, Succeeded, TimedOut
from worker.verdict import of_failed_init, of_platform, of_run


def test_a_success_passes_the_payload_through() -> None:
    verdict = of_run("id", Succeeded(b"[1]"))
    assert (verdict.payload, verdict.failure) == (b"[1]", "")


def test_a_handler_s_error_document_passes_through() -> None:
    verdict = of_run("id", HandlerFailed("ValueError", b'{"errorType":"ValueError"}'))
    assert (verdict.payload, verdict.failure, verdict.error_type) == (
        b'{"errorType":"ValueError"}',
        "Unhandled",
        "ValueError",
    )


def test_a_timeout_says_after_how_long() -> None:
    verdict = of_run("id", TimedOut(3))
    assert json.loads(verdict.payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: id Error: Task timed out after 3.00 seconds",
    }
    assert verdict.log_note.endswith("Z id Task timed out after 3.00 seconds\n\n")


def test_an_exit_names_its_cause_where_there_is_one() -> None:
    killed = json.loads(of_run("id", Exited("signal: killed")).payload)
    assert killed["errorMessage"] == "RequestId: id Error: Runtime exited with error: signal: killed"
    assert killed["errorType"] == "Runtime.ExitError"
    quiet = json.loads(of_run("id", Exited("")).payload)
    assert quiet["errorMessage"] == "RequestId: id Error: Runtime exited without providing a reason"


def test_a_failed_init_is_the_function_s_error() -> None:
    document = b'{"errorType":"Runtime.ImportModuleError","errorMessage":"m","requestId":""}'
    verdict = of_failed_init("id", InitFailed("Runtime.ImportModuleError", document, 12.5))
    assert (verdict.payload, verdict.failure) == (document, "Unhandled")
    assert "Init Duration: 12.50 ms" in verdict.log_note


def test_an_exit_during_init_names_the_request_that_waited() -> None:
    document = b'{"errorType":"Runtime.ExitError","errorMessage":"Runtime exited with error: exit status 1"}'
    verdict = of_failed_init("id", InitFailed("Runtime.ExitError", document, 1))
    message = json.loads(verdict.payload)["errorMessage"]
    assert message == "RequestId: id Error: Runtime exited with error: exit status 1"


def test_what_this_machine_could_not_do_is_the_platform_s_failure() -> None:
    document = b'{"errorType":"Sandbox.Failure","errorMessage":"fork failed"}'
    verdict = of_failed_init("id", InitFailed("Sandbox.Failure", document, 1))
    assert (verdict.payload, verdict.failure) == (b"fork failed", "Platform")
    assert of_platform("no room").failure == "Platform"
