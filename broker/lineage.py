"""Recursion detection: how often one triggering event has already made each function run.

A function's `_X_AMZN_TRACE_ID` ends in a lineage, `...;Lineage=a87bd80c:1|68fd508a:5`: a hash for each
function that ran on behalf of the same event, and how often it did. AWS's SDKs send that header with every
request that a function makes (botocore: where `AWS_LAMBDA_FUNCTION_NAME` is set), SQS keeps it as a message's
`AWSTraceHeader`, and whoever turns a message or a request into an invocation hands it on in
`Invocation.trace_header`. So a function that triggers itself is recognised wherever its loop leads.

For who makes invocations of what arrives (queues, topics, stores, requests):

1. Pass the arriving header on as `trace_header`; of a batch, `merged(headers)`. Where a header of your own
   replaces it, keep its lineage with `grafted(own, arriving)`.
2. For `sync` and `poll`, refuse the call where `is_recursive(header, function_name)` and the function's
   `recursive_loop` is `Terminate`; async invocations are ended unrun by the worker that receives them.

The worker counts the run (`counted`) in what it hands to the function. Every function here looks for the word
`Lineage=` first and does nothing more where it is missing.

Source: AWS Lambda developer guide, "Use Lambda recursive loop detection to prevent infinite loops"; AWS X-Ray
developer guide, "Tracing header".
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote

MOST_RUNS = 16
"""AWS: after about 16 runs for the same event, the next one is stopped."""

_MOST_FUNCTIONS = 16
_LINEAGE = "Lineage="
_COUNT = re.compile(r"([0-9a-f]{8}):(\d{1,5})")


def is_recursive(trace_header: str, function_name: str) -> bool:
    """Whether the event behind this header has made the function run as often as it may."""
    return _LINEAGE in trace_header and _counts(trace_header).get(_hash(function_name), 0) >= MOST_RUNS


def counted(trace_header: str, function_name: str) -> str:
    """The header for a run of the function: with this run counted in its lineage."""
    key = _hash(function_name)
    if _LINEAGE not in trace_header:
        return f"{trace_header};Lineage={key}:1" if trace_header else f"Lineage={key}:1"
    counts = _counts(trace_header)
    counts[key] = counts.pop(key, 0) + 1
    return _with(trace_header, counts)


def grafted(trace_header: str, arriving: str) -> str:
    """`trace_header` with the lineage of `arriving`, which it replaces."""
    return _with(trace_header, _counts(arriving)) if _LINEAGE in arriving else trace_header


def merged(trace_headers: Iterable[str]) -> str:
    """One header for a batch: the first trace in it, and each function's highest count in any of it."""
    first, counts = "", dict[str, int]()
    for header in trace_headers:
        first = first or header
        if _LINEAGE in header:
            for key, count in _counts(header).items():
                counts[key] = max(count, counts.get(key, 0))
    return _with(first, counts) if counts else first


def _counts(trace_header: str) -> dict[str, int]:
    """Counts by function; what is no such lineage (AWS has a newer, undocumented form) counts nothing."""
    # botocore percent-encodes the bar between two functions.
    lineage = unquote(trace_header.partition(_LINEAGE)[2].partition(";")[0])
    found = [_COUNT.fullmatch(part) for part in lineage.split("|")]
    return {match[1]: int(match[2]) for match in found if match}


def _with(trace_header: str, counts: dict[str, int]) -> str:
    """The header with this lineage; of too many functions those that ran most, the latest of equals."""
    if len(counts) > _MOST_FUNCTIONS:
        latest_first = list(reversed(counts.items()))
        kept = dict(sorted(latest_first, key=lambda item: item[1], reverse=True)[:_MOST_FUNCTIONS])
        counts = {key: count for key, count in counts.items() if key in kept}
    parts = [part for part in trace_header.split(";") if part and not part.startswith(_LINEAGE)]
    if counts:
        parts.append(_LINEAGE + "|".join(f"{key}:{count}" for key, count in counts.items()))
    return ";".join(parts)


@lru_cache(maxsize=16384)
def _hash(function_name: str) -> str:
    return f"{zlib.crc32(function_name.encode()):08x}"
