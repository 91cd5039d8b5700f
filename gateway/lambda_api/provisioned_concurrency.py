"""Operations on provisioned concurrency. The registry keeps what is asked for; workers say what they hold.

AWS's words were seen in recordings of its answers and in reports of its users.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from broker.invocation import LATEST
from broker.provisioning.model import Announcement
from broker.provisioning.standing import Standing, standing
from broker.registry import provisioned
from broker.registry.changes import MoreThanReserved
from broker.registry.model import FunctionRecord, ProvisionedConcurrency
from gateway.lambda_api import configuration
from gateway.lambda_api.account import UNRESERVED_AT_LEAST, unreserved_concurrency
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import conflict, invalid_parameter
from gateway.lambda_api.paging import page_of
from gateway.lambda_api.targets import named_function

Request = dict[str, Any]
Result = dict[str, Any]


async def put_provisioned_concurrency_config(context: Context, request: Request) -> Result:
    name, qualifier = named_function(context, request)
    if qualifier == LATEST:
        raise _unpublished()
    asked = ProvisionedConcurrency(
        request["ProvisionedConcurrentExecutions"], _now(), configuration.new_revision()
    )
    await _check_account(context, name, qualifier, asked.requested)
    with _refusals():
        await context.registry.update(name, lambda r: provisioned.provision(r, qualifier, asked))
    return {
        "RequestedProvisionedConcurrentExecutions": asked.requested,
        "AllocatedProvisionedConcurrentExecutions": 0,
        "AvailableProvisionedConcurrentExecutions": 0,
        "Status": "IN_PROGRESS",
        "LastModified": asked.last_modified,
    }


async def get_provisioned_concurrency_config(context: Context, request: Request) -> Result:
    name, qualifier = _named(context, request)
    record = await context.registry.get(name)
    provisioned.configuration(record, qualifier)
    return _describe(record, qualifier, await context.provisioning.announcements())


async def list_provisioned_concurrency_configs(context: Context, request: Request) -> Result:
    name, _ = named_function(context, request)
    record = await context.registry.get(name)
    said = await context.provisioning.announcements()
    keyed = [
        (key, {"FunctionArn": context.names.arn(name, key), **_describe(record, key, said)})
        for key in sorted(record.provisioned)
    ]
    listed = await page_of(request, keyed)
    return {"ProvisionedConcurrencyConfigs": listed.items, "NextMarker": listed.next_marker}


async def delete_provisioned_concurrency_config(context: Context, request: Request) -> Result:
    name, qualifier = _named(context, request)
    await context.registry.update(name, lambda r: provisioned.unprovision(r, qualifier))
    return {}


def _named(context: Context, request: Request) -> tuple[str, str]:
    name, qualifier = named_function(context, request)
    if qualifier == LATEST:
        raise invalid_parameter("The function resource provided must be an alias or a published version.")
    return name, qualifier


async def _check_account(context: Context, name: str, qualifier: str, requested: int) -> None:
    """Raises ApiError where it would leave others too little; reserved concurrency is set aside already."""
    record = await context.registry.get(name)
    if record.reserved_concurrency is not None:
        return
    left = await unreserved_concurrency(context, besides=name)
    already = sum(asked.requested for key, asked in record.provisioned.items() if key != qualifier)
    if already + requested > left:
        raise invalid_parameter(
            "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency"
            f" [{left - already}]."
        )
    if left - already - requested < UNRESERVED_AT_LEAST:
        raise invalid_parameter(
            "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution"
            f" below its minimum value of [{UNRESERVED_AT_LEAST}]."
        )


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except provisioned.Unpublished as error:
        raise _unpublished() from error
    except provisioned.WeightedAlias as error:
        raise invalid_parameter("Alias with weights can not be used with Provisioned Concurrency") from error
    except provisioned.SnapStarted as error:
        raise invalid_parameter(
            "Provisioned Concurrency Configs cannot be applied to versions that use SnapStart."
        ) from error
    except provisioned.VersionProvisioned as error:
        raise conflict(
            "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
        ) from error
    except provisioned.AliasProvisioned as error:
        raise conflict("Version is pointed by a Provisioned Concurrency alias") from error
    except MoreThanReserved as error:
        raise invalid_parameter(
            "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for"
            " function"
        ) from error


def _unpublished() -> Exception:
    return invalid_parameter(
        "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
    )


def _describe(record: FunctionRecord, qualifier: str, said: Sequence[Announcement]) -> Result:
    found: Standing = standing(record, qualifier, said)
    return {
        "RequestedProvisionedConcurrentExecutions": found.requested,
        "AllocatedProvisionedConcurrentExecutions": found.allocated,
        "AvailableProvisionedConcurrentExecutions": found.available,
        "Status": found.status,
        "StatusReason": found.reason or None,
        "LastModified": record.provisioned[qualifier].last_modified,
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
