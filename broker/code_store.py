"""Packages and layers of images by the SHA-256 of their bytes, on a local directory or an object store."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
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
    from obstore import GetResult
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Config

PACKAGE, LAYER = "zip", "layer"
_CHUNK_BYTES = 1 << 20
_WASTE, _OWNERS, _DAMAGED = "waste", "owners", "damaged"
_NAME = re.compile(rf"[0-9a-f]{{64}}\.(?:{PACKAGE}|{LAYER})")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_RETRIES: RetryConfig = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}
_CLIENT: ClientConfig = {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(seconds=60)}


class CodeStore:
    """What lies at `settings.code_store_url`: packages (`<digest>.zip`), layers of images (`<digest>.layer`),
    what was thrown away (`waste/NAME.EPOCH_SECONDS`), layers found damaged (`damaged/NAME.EPOCH_SECONDS`, to
    be looked at meanwhile), and whose it is (`owners/INSTALLATION`).

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
            found = await self._read(_key(digest))
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
        """Write an image's layer, checked against its digest, to the new file `target`. A damaged one is put
        aside, so that the next deployment stores it anew.

        Raises CodeNotFound, CodeCorrupt, OSError.
        """
        actual = hashlib.sha256()
        with self._translated("read", digest), open(target, "xb") as file:  # noqa: ASYNC230 - its own disk
            found = await self._read(_key(digest, LAYER))
            tag = found.meta["e_tag"]
            async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
                await asyncio.to_thread(_take, chunk, file, actual)
        if actual.hexdigest() != digest:
            await self._put_aside(_key(digest, LAYER), tag)
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

    async def objects(self) -> Sequence[StoredObject]:
        """All packages and layers."""
        with self._translated("list", "of this installation"):
            found = await obstore.list_with_delimiter_async(self._store)
        every = [
            StoredObject(str(each["path"]), each["last_modified"].timestamp()) for each in found["objects"]
        ]
        return [each for each in every if _NAME.fullmatch(each.name)]

    async def waste(self) -> Sequence[StoredObject]:
        """What was thrown away, with the time at which it was."""
        return await self._aside(_WASTE)

    async def damaged(self) -> Sequence[StoredObject]:
        """What was found damaged, with the time at which it was. Nobody gets it who asks for it."""
        return await self._aside(_DAMAGED)

    async def throw_away(self, name: str) -> None:
        """Put an object aside; whoever asks for it still gets it. One that is not there is no error."""
        with self._translated("throw away", name), contextlib.suppress(FileNotFoundError, NotFoundError):
            await obstore.rename_async(self._store, name, _dated(_WASTE, name))

    async def take_back(self, thrown: StoredObject) -> None:
        """Undo `throw_away`; one that is not there any more is no error."""
        with (
            self._translated("take back", thrown.name),
            contextlib.suppress(FileNotFoundError, NotFoundError),
        ):
            await obstore.rename_async(self._store, thrown.key, thrown.name)

    async def remove(self, thrown: StoredObject) -> None:
        """Delete for good what was thrown away, or found damaged."""
        with self._translated("delete", thrown.name), contextlib.suppress(FileNotFoundError, NotFoundError):
            await obstore.delete_async(self._store, thrown.key)

    async def owners(self, installation: str) -> Set[str]:
        """Every installation that has ever called this, with its own id: those that keep code here."""
        with self._translated("mark", "as used"):
            await obstore.put_async(self._store, f"{_OWNERS}/{installation}", b"")
            found = await obstore.list_with_delimiter_async(self._store, prefix=_OWNERS)
        return {str(each["path"]).rpartition("/")[2] for each in found["objects"]}

    async def _read(self, key: str) -> GetResult:
        try:
            return await obstore.get_async(self._store, key)
        except (FileNotFoundError, NotFoundError):
            for thrown in await self.waste():
                if thrown.name == key:
                    return await obstore.get_async(self._store, thrown.key)
            raise

    async def _aside(self, place: str) -> Sequence[StoredObject]:
        with self._translated("list", f"in {place}"):
            found = await obstore.list_with_delimiter_async(self._store, prefix=place)
        parts = [str(each["path"]).removeprefix(f"{place}/").rpartition(".") for each in found["objects"]]
        return [StoredObject(name, float(when), place) for name, _, when in parts if _NAME.fullmatch(name)]

    async def _put_aside(self, key: str, tag: str | None) -> None:
        """Unless another was stored meanwhile. Not as waste, which is taken back while it is referred to."""
        with contextlib.suppress(BaseError, OSError):  # that it is damaged is told in any case
            there = await obstore.head_async(self._store, key)
            if there["e_tag"] == tag:
                await obstore.rename_async(self._store, key, _dated(_DAMAGED, key))

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


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Something in the store: its name, and since when (epoch seconds) it is what it is, and where."""

    name: str
    since: float
    place: str = ""

    @property
    def key(self) -> str:
        """Its path in the store."""
        return f"{self.place}/{self.name}.{int(self.since)}" if self.place else self.name


def object_name(digest: str, kind: str = PACKAGE) -> str:
    """The name of a package, or of a LAYER."""
    return _key(digest, kind)


def _dated(place: str, name: str) -> str:
    return StoredObject(name, time.time(), place).key


def _take(chunk: bytes, file: IO[bytes], digest: hashlib._Hash) -> None:
    digest.update(chunk)
    file.write(chunk)


def _key(digest: str, kind: str = PACKAGE) -> str:
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is not a SHA-256 in lower-case hexadecimal")
    return f"{digest}.{kind}"


def _digest(package: bytes) -> str:
    return hashlib.sha256(package).hexdigest()
