"""What counts as a failed batch."""

from __future__ import annotations

import pytest

from triggers.event_source_mapping.streams.responses import BadResponse, first_failure, window_state


@pytest.mark.parametrize(
    "payload", [b"", b"null", b"{}", b'{"batchItemFailures": null}', b'{"batchItemFailures": []}']
)
def test_an_answer_without_failures_says_that_all_are_done(payload: bytes) -> None:
    assert first_failure(payload, ["1", "2"]) is None


def test_the_first_of_several_failures_counts() -> None:
    payload = b'{"batchItemFailures": [{"itemIdentifier": "3"}, {"itemIdentifier": "2"}]}'
    assert first_failure(payload, ["1", "2", "3"]) == 1


def test_a_malformed_answer_fails_from_the_first_record_on() -> None:
    assert first_failure(b'{"batchItemFailures": [{"itemIdentifier": "17"}]}', ["1", "2"]) == 0


def test_a_windows_state_is_taken_as_it_is() -> None:
    assert bytes(window_state(b'{"state": {"n": 1.50}}')) == b'{"n": 1.50}'


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b"{}"])
def test_an_answer_without_a_state_fails(payload: bytes) -> None:
    with pytest.raises(BadResponse):
        window_state(payload)
