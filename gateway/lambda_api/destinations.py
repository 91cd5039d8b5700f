"""What may hear of the end of asynchronous invocations: which ARNs the API takes where.

As on AWS a queue or topic must be a standard one, and a bucket hears of failures only. That it exists is not
checked: what it does not take becomes a dead letter with the reason.
"""

from __future__ import annotations

from typing import Literal

from broker.destination_requests import is_fifo, service_of
from broker.errors import FunctionNotFound
from broker.invocation import LATEST
from broker.registry import changes
from gateway.errors import ApiError
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import invalid_parameter

Occasion = Literal["OnSuccess", "OnFailure"]


async def check_destination(context: Context, name: str, arn: str, occasion: Occasion) -> None:
    """Raises ApiError where the function `name` cannot have the destination `arn`."""
    if arn.startswith("arn:") and arn.split(":")[2] == "lambda":
        await _check_function(context, name, arn)
        return
    service = service_of(arn)
    if service is None:
        raise invalid_parameter(f"The destination ARN {arn} is invalid.")
    if service == "s3" and occasion == "OnSuccess":
        raise invalid_parameter(
            f"The destination ARN {arn} is invalid: an S3 bucket is supported for OnFailure only."
        )
    _refuse_fifo("destination", arn)


def check_dead_letter_queue(arn: str) -> None:
    """Raises ApiError where a function cannot have the dead letter queue `arn`."""
    if service_of(arn) not in ("sqs", "sns"):
        raise invalid_parameter(
            f"The dead letter target ARN {arn} is invalid: give the ARN of an SQS queue or an SNS topic."
        )
    _refuse_fifo("dead letter target", arn)


def _refuse_fifo(role: str, arn: str) -> None:
    if service_of(arn) in ("sqs", "sns") and is_fifo(arn):
        raise invalid_parameter(f"The {role} ARN {arn} is invalid: FIFO queues and topics are not supported.")


async def _check_function(context: Context, name: str, arn: str) -> None:
    try:
        target, qualifier = context.names.parse(arn)
        record = await context.registry.get(target)
        changes.check_qualifier(record, qualifier or LATEST)
    except (ApiError, FunctionNotFound, changes.QualifierNotFound) as error:
        raise invalid_parameter(f"The destination ARN {arn} is invalid.") from error
    if target == name:
        raise invalid_parameter("You can't specify the function as a destination for itself.")
