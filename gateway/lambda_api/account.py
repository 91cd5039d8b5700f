"""What the account as a whole may use, and uses."""

from __future__ import annotations

from typing import Any

from broker.code_package import MOST_UNZIPPED_BYTES, MOST_ZIPPED_BYTES
from gateway.lambda_api.context import Context

CONCURRENT_EXECUTIONS = 1000
"""AWS's default. Here the fleet's memory is the limit; tools expect a number."""
TOTAL_CODE_BYTES = 80_530_636_800
_FUNCTIONS_AT_ONCE = 200


async def get_account_settings(context: Context, request: dict[str, Any]) -> dict[str, Any]:
    totals = await context.registry.totals()
    reserved = await _reserved_concurrency(context)
    return {
        "AccountLimit": {
            "TotalCodeSize": TOTAL_CODE_BYTES,
            "CodeSizeUnzipped": MOST_UNZIPPED_BYTES,
            "CodeSizeZipped": MOST_ZIPPED_BYTES,
            "ConcurrentExecutions": CONCURRENT_EXECUTIONS,
            "UnreservedConcurrentExecutions": max(0, CONCURRENT_EXECUTIONS - reserved),
        },
        "AccountUsage": {"TotalCodeSize": totals.code_bytes, "FunctionCount": totals.functions},
    }


async def _reserved_concurrency(context: Context) -> int:
    total, after = 0, ""
    while records := await context.registry.records(after, _FUNCTIONS_AT_ONCE):
        total += sum(record.reserved_concurrency or 0 for record in records)
        after = records[-1].name
    return total
