"""Reads code packages from S3, or from whatever speaks its API at the configured endpoint."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import boto3
import botocore.exceptions
from botocore.config import Config

from gateway.errors import ApiError
from gateway.lambda_api.errors import access_denied, invalid_parameter

_CONNECT_SECONDS = 5
_READ_SECONDS = 60


class S3Objects:
    """Objects by bucket and key, read with the gateway's own credentials."""

    def __init__(self, region: str, endpoint_urls: Mapping[str, str]) -> None:
        self._region = region
        self._endpoint_url = endpoint_urls.get("AWS_ENDPOINT_URL_S3") or endpoint_urls.get("AWS_ENDPOINT_URL")
        self._client: Any = None
        self._making_client = threading.Lock()

    async def read(self, bucket: str, key: str, version_id: str | None, limit_bytes: int) -> bytes:
        """The whole object, at most `limit_bytes`. Raises ApiError, worded as Lambda words S3's errors."""
        return await asyncio.to_thread(self._read, bucket, key, version_id, limit_bytes)

    def _read(self, bucket: str, key: str, version_id: str | None, limit_bytes: int) -> bytes:
        version = {"VersionId": version_id} if version_id else {}
        try:
            found = self._connected().get_object(Bucket=bucket, Key=key, **version)
            with found["Body"] as body:
                content: bytes = body.read(limit_bytes + 1)
        except botocore.exceptions.ClientError as error:
            raise _refused(error.response["Error"]) from error
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.HTTPClientError) as error:
            raise invalid_parameter(f"Error occurred while GetObject. {error}") from error
        if len(content) > limit_bytes:
            raise invalid_parameter(f"Unzipped size must be smaller than {limit_bytes} bytes")
        return content

    def _connected(self) -> Any:
        with self._making_client:
            if self._client is None:
                self._client = self._make_client()
            return self._client

    def _make_client(self) -> Any:
        # Another endpoint than AWS's seldom has a host name for every bucket.
        style = {"addressing_style": "path"} if self._endpoint_url else {}
        config = Config(
            s3=style,
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"total_max_attempts": 2},
        )
        session = boto3.session.Session(region_name=self._region)
        return session.client("s3", endpoint_url=self._endpoint_url, config=config)


def _refused(error: Mapping[str, str]) -> ApiError:
    code, message = error.get("Code", "Unknown"), error.get("Message", "")
    told = f"S3 Error Code: {code}. S3 Error Message: {message}"
    if code in ("AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch"):
        return access_denied(
            "Your access has been denied by S3, please make sure your request credentials have permission"
            f" to GetObject for the bucket and key. {told}"
        )
    return invalid_parameter(f"Error occurred while GetObject. {told}")
