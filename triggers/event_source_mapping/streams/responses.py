"""What a function answered to a batch: done, failed from some record on, a window's state. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

EMPTY_STATE = msgspec.Raw(b"{}")


class BadResponse(Exception):
    """The function ended well and its answer is no answer to a batch: the whole batch counts as failed."""


def first_failure(payload: bytes, sequence_numbers: Sequence[str]) -> int | None:
    """Index of the first record that `batchItemFailures` names; None where all are done.

    An answer that is null, an empty object or an empty list of failures says that all are done; one that is
    malformed, or names a record that the batch has not, that all failed (BadResponse). Source: "Success and
    failure conditions" of partial batch responses.
    """
    answer = _document(payload)
    failures = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    if failures is None or failures == []:
        return None
    if not isinstance(failures, list):
        raise BadResponse("batchItemFailures is no list")
    return min(_position(failure, sequence_numbers) for failure in failures)


def window_state(payload: bytes) -> msgspec.Raw:
    """The `state` that a function gives back for its window. Raises BadResponse where it is missing."""
    try:
        answer = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError as error:
        raise BadResponse("the answer is no JSON object with a state") from error
    if "state" not in answer:
        raise BadResponse("the answer has no state")
    return msgspec.Raw(bytes(answer["state"]))


def _document(payload: bytes) -> object:
    try:
        return msgspec.json.decode(payload) if payload else None
    except msgspec.DecodeError as error:
        raise BadResponse(f"the answer is no JSON: {error}") from error


def _position(failure: object, sequence_numbers: Sequence[str]) -> int:
    name = failure.get("itemIdentifier") if isinstance(failure, dict) else None
    if not isinstance(name, str) or name not in sequence_numbers:
        raise BadResponse(f"batchItemFailures names {name!r}, which is no record of the batch")
    return sequence_numbers.index(name)
