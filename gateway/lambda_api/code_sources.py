"""Where a function's code comes from: a zip in the request, or an object of S3."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker import code_package
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import invalid_parameter, not_supported


@dataclass(frozen=True, slots=True)
class StoredCode:
    """A package that the code store holds: base64 of its SHA-256, and its size."""

    sha256: str
    size_bytes: int

    @property
    def digest(self) -> str:
        """Hex form of `sha256`: the code store's key."""
        return base64.b64decode(self.sha256).hex()

    @property
    def members(self) -> dict[str, Any]:
        """The fields of a FunctionConfig that it sets."""
        return {"code_sha256": self.sha256, "code_size": self.size_bytes}


async def store_code(context: Context, source: Mapping[str, Any]) -> StoredCode:
    """Read, check and keep the package that `source` (members of FunctionCode) names. Raises ApiError."""
    return await keep_code(context, await read_code(context, source))


async def keep_code(context: Context, package: bytes) -> StoredCode:
    """Put a package that was found sound into the code store."""
    digest = await context.code_store.put(package)
    return StoredCode(base64.b64encode(bytes.fromhex(digest)).decode(), len(package))


async def read_code(context: Context, source: Mapping[str, Any]) -> bytes:
    """The package that `source` names, found sound. Raises ApiError."""
    package = await _fetch(context, source)
    direct = source.get("ZipFile") is not None
    most_bytes = code_package.MOST_ZIPPED_BYTES if direct else code_package.MOST_UNZIPPED_BYTES
    try:
        await asyncio.to_thread(code_package.validate, package, most_bytes)
    except code_package.InvalidPackage as error:
        raise invalid_parameter(str(error)) from error
    return package


async def _fetch(context: Context, source: Mapping[str, Any]) -> bytes:
    _refuse_unsupported(source)
    zip_file: bytes | None = source.get("ZipFile")
    bucket, key = source.get("S3Bucket"), source.get("S3Key")
    if zip_file is not None:
        if bucket or key:
            raise invalid_parameter(
                "Please do not provide other FunctionCode parameters when providing a ZipFile."
            )
        return zip_file
    if not bucket or not key:
        raise invalid_parameter("Please provide a source for function code.")
    version = source.get("S3ObjectVersion")
    return await context.objects.read(bucket, key, version, code_package.MOST_UNZIPPED_BYTES)


def _refuse_unsupported(source: Mapping[str, Any]) -> None:
    if source.get("SourceKMSKeyArn"):
        raise not_supported("SourceKMSKeyArn is not supported yet.")
    if source.get("S3ObjectStorageMode") == "REFERENCE":
        raise not_supported("S3ObjectStorageMode REFERENCE is not supported yet; code is copied.")
