"""What a function's answer says about the records of its batch: ReportBatchItemFailures.

Source: "Implementing partial batch responses" in the Lambda developer guide.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from broker.foreign_json import UNREADABLE


class _Failure(msgspec.Struct, frozen=True):
    identifier: str = msgspec.field(name="itemIdentifier")


class _Answer(msgspec.Struct, frozen=True):
    failures: list[_Failure] | None = msgspec.field(name="batchItemFailures", default=None)


_decode = msgspec.json.Decoder(_Answer | None).decode


def failed_items(payload: bytes, identifiers: Collection[str]) -> frozenset[str]:
    """Which of a batch's identifiers the answer names; all of them where it is not such an answer.

    An empty answer, `null`, no list and an empty list mean that everything succeeded. A failure without an
    identifier, or with one that is not in the batch, fails the whole batch, as does what is no JSON object.
    """
    if not payload.strip():
        return frozenset()
    try:
        answer = _decode(payload)
    except UNREADABLE:
        return frozenset(identifiers)
    if answer is None or not answer.failures:
        return frozenset()
    named = frozenset(failure.identifier for failure in answer.failures)
    return named if named <= frozenset(identifiers) else frozenset(identifiers)
