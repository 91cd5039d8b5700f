"""How the end of a process is named."""

from __future__ import annotations

import json

import pytest

from worker.environments.error_documents import error_document, exit_cause, exit_message


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (0, ""),
        (1, "exit status 1"),
        (127, "exit status 127"),
        (-9, "signal: killed"),
        (-11, "signal: segmentation fault"),
        (-40, "signal: signal 40"),
    ],
)
def test_every_end_has_a_cause(code: int, cause: str) -> None:
    assert exit_cause(code) == cause


def test_an_end_without_a_cause_says_so() -> None:
    assert exit_message("") == "Runtime exited without providing a reason"
    assert exit_message("exit status 2") == "Runtime exited with error: exit status 2"


def test_the_platforms_documents_have_type_and_message_only() -> None:
    assert json.loads(error_document("T", "m")) == {"errorType": "T", "errorMessage": "m"}
