"""What a function answered to a batch: done, failed from some record on, a window's state. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from broker.foreign_json import UNREADABLE
from triggers.event_source_mapping.batch_results import failed_items

EMPTY_STATE = msgspec.Raw(b"{}")


class BadResponse(Exception):
    """The function ended well and its answer is no answer to a batch: the whole batch counts as failed."""


def first_failure(payload: bytes, sequence_numbers: Sequence[str]) -> int | None:
    """Index of the first record that `batchItemFailures` names; None where all are done."""
    failed = failed_items(payload, sequence_numbers)
    return next((at for at, name in enumerate(sequence_numbers) if name in failed), None)


def window_state(payload: bytes) -> msgspec.Raw:
    """The `state` that a function gives back for its window. Raises BadResponse where it is missing."""
    try:
        answer = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
    except UNREADABLE as error:
        raise BadResponse("the answer is no JSON object with a state") from error
    if "state" not in answer:
        raise BadResponse("the answer has no state")
    return msgspec.Raw(bytes(answer["state"]))
