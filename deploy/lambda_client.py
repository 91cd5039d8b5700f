"""The Lambda API of a running system, through boto3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deploy.endpoint import Endpoint
from deploy.errors import NotRunning

LONGEST_INVOCATION_SECONDS = 900


def lambda_client(endpoint: Endpoint) -> Any:
    """A boto3 Lambda client for a system: no retries, no proxy, patient enough for the longest function."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "lambda",
        endpoint_url=endpoint.url,
        region_name=endpoint.region,
        aws_access_key_id=endpoint.credentials.access_key_id,
        aws_secret_access_key=endpoint.credentials.secret_access_key,
        config=Config(
            connect_timeout=5,
            read_timeout=LONGEST_INVOCATION_SECONDS + 60,
            retries={"total_max_attempts": 1},
            proxies={},
        ),
    )


@contextmanager
def reaching(endpoint: Endpoint) -> Iterator[Any]:
    """A client whose connection errors come out as NotRunning."""
    from botocore.exceptions import HTTPClientError

    try:
        yield lambda_client(endpoint)
    except HTTPClientError as error:
        raise NotRunning(f"no answer from {endpoint.url}; is `lightswitch up` running?") from error
