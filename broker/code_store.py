"""Packages and layers of images by the SHA-256 of their bytes, on a local directory or an object store."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, S3Store, from_url

from broker.errors import CodeCorrupt, CodeNotFound, CodeStoreUnavailable
from broker.settings import Settings

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Config

PACKAGE, LAYER = "zip", "layer"
_CHUNK_BYTES = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_RETRIES: RetryConfig = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}
_CLIENT: ClientConfig = {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(seconds=60)}


class CodeStore:
    """What lies at `settings.code_store_url`: packages (`<digest>.zip`), layers of images (`<digest>.layer`).

    `file://` keeps them in a directory that only this user may enter. `s3://` uses boto3's credentials
    and honours `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL`. Making one and all calls raise
    CodeStoreUnavailable.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.code_store_url
        try:
            self._store = _open(settings)
        except (BaseError, OSError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise CodeStoreUnavailable(f"cannot use the code store {self._url}: {reason}") from error

    async def put(self, package: bytes) -> str:
        """Keep a package and return its digest in hexadecimal; idempotent, and repairs a damaged one."""
        digest = await asyncio.to_thread(_digest, package)
        with self._translated("store", digest):
            await obstore.put_async(self._store, _key(digest), package)
        return digest

    async def get(self, digest: str) -> bytes:
        """The package, checked against its digest. Raises CodeNotFound, CodeCorrupt."""
        with self._translated("read", digest):
            found = await obstore.get_async(self._store, _key(digest))
            package = bytes(await found.bytes_async())
        actual = await asyncio.to_thread(_digest, package)
        if actual != digest:
            raise CodeCorrupt(f"code {digest} in {self._url} has digest {actual}; deploy the function again")
        return package

    async def put_layer(self, digest: str, layer: IO[bytes]) -> None:
        """Keep an image's layer, which was found to have that digest; one that is there already stays."""
        with self._translated("store", digest):
            if not await self._has(_key(digest, LAYER)):
                await obstore.put_async(self._store, _key(digest, LAYER), layer)

    async def fetch_layer(self, digest: str, target: Path) -> None:
        """Write an image's layer, checked against its digest, to the new file `target`.

        Raises CodeNotFound, CodeCorrupt, OSError.
        """
        actual = hashlib.sha256()
        with self._translated("read", digest), open(target, "xb") as file:  # noqa: ASYNC230 - its own disk
            found = await obstore.get_async(self._store, _key(digest, LAYER))
            async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
                await asyncio.to_thread(_take, chunk, file, actual)
        if actual.hexdigest() != digest:
            text = f"layer {digest} in {self._url} has digest {actual.hexdigest()}; deploy the function again"
            raise CodeCorrupt(text)

    async def exists(self, digest: str) -> bool:
        """Whether the package is there; not whether it is whole."""
        try:
            with self._translated("find", digest):
                await obstore.head_async(self._store, _key(digest))
        except CodeNotFound:
            return False
        return True

    async def delete(self, digest: str) -> None:
        """Forget the package; one that is not there is no error."""
        try:
            with self._translated("delete", digest):
                await obstore.delete_async(self._store, _key(digest))
        except CodeNotFound:
            pass

    async def _has(self, key: str) -> bool:
        try:
            await obstore.head_async(self._store, key)
        except (FileNotFoundError, NotFoundError):
            return False
        return True

    @contextmanager
    def _translated(self, action: str, digest: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotFoundError) as error:
            raise CodeNotFound(f"there is no code {digest} in {self._url}") from error
        except (BaseError, OSError) as error:
            reason = str(error).partition("\n")[0]  # the rest is a dump of the driver's state
            raise CodeStoreUnavailable(f"cannot {action} code {digest} in {self._url}: {reason}") from error


def _open(settings: Settings) -> ObjectStore:
    parts = urlsplit(settings.code_store_url)
    if parts.scheme == "file":
        return _open_directory(Path(unquote(parts.path)))
    if parts.scheme in ("s3", "s3a"):
        return _open_s3(settings)
    return from_url(settings.code_store_url, client_options=_CLIENT, retry_config=_RETRIES)


def _open_directory(directory: Path) -> LocalStore:
    # Made here, so that nobody else can list or read packages: functions run under other users.
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return LocalStore(directory)


def _open_s3(settings: Settings) -> S3Store:
    from obstore.auth.boto3 import Boto3CredentialProvider  # imports boto3, which takes its time

    urls = settings.endpoint_urls
    endpoint = urls.get("AWS_ENDPOINT_URL_S3") or urls.get("AWS_ENDPOINT_URL")
    config: S3Config = {"region": settings.region}
    if endpoint:
        config["endpoint"] = endpoint
    return S3Store.from_url(
        settings.code_store_url,
        config=config,
        client_options={**_CLIENT, "allow_http": bool(endpoint and endpoint.startswith("http://"))},
        retry_config=_RETRIES,
        credential_provider=Boto3CredentialProvider(),  # raises ValueError where boto3 finds none
    )


def _take(chunk: bytes, file: IO[bytes], digest: hashlib._Hash) -> None:
    digest.update(chunk)
    file.write(chunk)


def _key(digest: str, kind: str = PACKAGE) -> str:
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is not a SHA-256 in lower-case hexadecimal")
    return f"{digest}.{kind}"


def _digest(package: bytes) -> str:
    return hashlib.sha256(package).hexdigest()
