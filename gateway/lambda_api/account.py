"""What the account as a whole may use, and uses."""

from __future__ import annotations

from typing import Any

from broker.code_package import MOST_UNZIPPED_BYTES, MOST_ZIPPED_BYTES
from broker.registry.model import FunctionRecord
from gateway.lambda_api.context import Context

CONCURRENT_EXECUTIONS = 1000
"""AWS's default. Here the fleet's memory is the limit; tools expect a number."""
TOTAL_CODE_BYTES = 80_530_636_800
_FUNCTIONS_AT_ONCE = 200


UNRESERVED_AT_LEAST = 100
"""So much of the account's concurrency stays for functions that reserve none, as on AWS."""


async def get_account_settings(context: Context, request: dict[str, Any]) -> dict[str, Any]:
    totals = await context.registry.totals()
    return {
        "AccountLimit": {
            "TotalCodeSize": TOTAL_CODE_BYTES,
            "CodeSizeUnzipped": MOST_UNZIPPED_BYTES,
            "CodeSizeZipped": MOST_ZIPPED_BYTES,
            "ConcurrentExecutions": CONCURRENT_EXECUTIONS,
            "UnreservedConcurrentExecutions": await unreserved_concurrency(context),
        },
        "AccountUsage": {"TotalCodeSize": totals.code_bytes, "FunctionCount": totals.functions},
    }


async def unreserved_concurrency(context: Context, besides: str = "") -> int:
    """What is left for functions that reserve and provision nothing; `besides` is not counted."""
    taken, after = 0, ""
    while records := await context.registry.records(after, _FUNCTIONS_AT_ONCE):
        taken += sum(_taken(record) for record in records if record.name != besides)
        after = records[-1].name
    return max(0, CONCURRENT_EXECUTIONS - taken)


def _taken(record: FunctionRecord) -> int:
    """Reserved concurrency; provisioned concurrency is part of it, or stands alone."""
    reserved = record.reserved_concurrency
    return record.provisioned_in_all if reserved is None else reserved
