"""What an answer says about a batch."""

from __future__ import annotations

import pytest

from triggers.event_source_mapping.batch_results import failed_items

BATCH = ("a", "b", "c")


@pytest.mark.parametrize(
    "answer",
    [b"", b"null", b"{}", b'{"batchItemFailures": null}', b'{"batchItemFailures": []}', b'{"other": 1}'],
)
def test_everything_succeeded(answer: bytes) -> None:
    assert failed_items(answer, BATCH) == frozenset()


def test_named_items_failed() -> None:
    answer = b'{"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "c"}], "other": 1}'
    assert failed_items(answer, BATCH) == {"b", "c"}


@pytest.mark.parametrize(
    "answer",
    [
        b"no JSON",
        b'"done"',
        b"[" * 5000,
        b'{"batchItemFailures": [{"itemIdentifier": "\xff"}]}',
        b"[]",
        b'{"batchItemFailures": "b"}',
        b'{"batchItemFailures": ["b"]}',
        b'{"batchItemFailures": [{"itemIdentifier": null}]}',
        b'{"batchItemFailures": [{"itemIdentifier": ""}]}',
        b'{"batchItemFailures": [{"messageId": "b"}]}',
        b'{"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "unknown"}]}',
    ],
)
def test_an_answer_that_cannot_be_read_fails_the_whole_batch(answer: bytes) -> None:
    assert failed_items(answer, BATCH) == frozenset(BATCH)
