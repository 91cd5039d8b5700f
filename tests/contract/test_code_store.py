"""What every code store keeps, wherever it keeps it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import stat
import uuid
from pathlib import Path

import pytest

from broker.code_store import CodeStore
from broker.errors import CodeCorrupt, CodeNotFound, CodeStoreUnavailable
from broker.settings import Settings
from tests.s3_server import S3Server

PACKAGE = b"PK\x03\x04 some zip"
DIGEST = hashlib.sha256(PACKAGE).hexdigest()
OTHER_DIGEST = hashlib.sha256(b"another").hexdigest()


def settings(url: str, **endpoint_urls: str) -> Settings:
    return Settings(redis_url="", data_dir=Path(), code_store_url=url, endpoint_urls=endpoint_urls)


@pytest.fixture(params=["file", "s3"])
def store_settings(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    if request.param == "file":
        return settings(f"file://{tmp_path}/with%20space/code")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    server = request.getfixturevalue("s3_server")
    bucket = f"code-{uuid.uuid4().hex[:12]}"
    server.create_bucket(bucket)
    return settings(f"s3://{bucket}/some/prefix", AWS_ENDPOINT_URL_S3=server.url)


@pytest.fixture
def store(store_settings: Settings) -> CodeStore:
    return CodeStore(store_settings)


async def test_a_package_is_read_back_by_its_digest(store: CodeStore, store_settings: Settings) -> None:
    assert await store.put(PACKAGE) == DIGEST
    assert await CodeStore(store_settings).get(DIGEST) == PACKAGE


async def test_storing_twice_is_fine(store: CodeStore) -> None:
    assert await asyncio.gather(*(store.put(PACKAGE) for _ in range(3))) == [DIGEST] * 3
    assert await store.get(DIGEST) == PACKAGE


async def test_a_large_package_is_read_back(store: CodeStore) -> None:
    package = bytes(range(256)) * 50_000
    assert await store.get(await store.put(package)) == package


async def test_an_unknown_digest_is_not_found(store: CodeStore) -> None:
    await store.put(PACKAGE)
    with pytest.raises(CodeNotFound, match=OTHER_DIGEST):
        await store.get(OTHER_DIGEST)


async def test_it_is_known_what_is_there(store: CodeStore) -> None:
    await store.put(PACKAGE)
    assert await store.exists(DIGEST)
    assert not await store.exists(OTHER_DIGEST)


async def test_a_deleted_package_is_gone_and_deleting_again_is_fine(store: CodeStore) -> None:
    await store.put(PACKAGE)
    await store.delete(DIGEST)
    assert not await store.exists(DIGEST)
    await store.delete(DIGEST)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", DIGEST.upper(), DIGEST[:-1], DIGEST + "\n"])
async def test_what_is_no_digest_is_refused(store: CodeStore, digest: str) -> None:
    for attempt in (store.get(digest), store.exists(digest), store.delete(digest)):
        with pytest.raises(ValueError, match="is not a SHA-256"):
            await attempt


async def test_a_damaged_package_is_noticed_and_repaired_by_storing_it_again(tmp_path: Path) -> None:
    store = CodeStore(settings(f"file://{tmp_path}"))
    await store.put(PACKAGE)
    (tmp_path / f"{DIGEST}.zip").write_bytes(PACKAGE[:-1])
    with pytest.raises(CodeCorrupt, match=DIGEST):
        await store.get(DIGEST)
    await store.put(PACKAGE)
    assert await store.get(DIGEST) == PACKAGE


async def test_other_users_may_not_look_into_the_directory(tmp_path: Path) -> None:
    CodeStore(settings(f"file://{tmp_path}/code"))
    assert stat.S_IMODE((tmp_path / "code").stat().st_mode) == 0o700


async def test_a_directory_that_is_gone_is_named(tmp_path: Path) -> None:
    store = CodeStore(settings(f"file://{tmp_path}/code"))
    (tmp_path / "code").rmdir()
    (tmp_path / "code").write_text("in the way")
    with pytest.raises(CodeStoreUnavailable, match=r"cannot store code .*/code: "):
        await store.put(PACKAGE)


@pytest.mark.parametrize("url", ["file:///proc/none/code", "s3://bucket", "gopher://x/y", "nonsense"])
def test_a_store_that_cannot_be_used_is_named_at_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(CodeStoreUnavailable, match=f"cannot use the code store {url}: "):
        CodeStore(settings(url))


async def test_a_bucket_that_does_not_exist_is_named(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    store = CodeStore(settings("s3://no-such-bucket", AWS_ENDPOINT_URL=s3_server.url))
    with pytest.raises((CodeStoreUnavailable, CodeNotFound), match="s3://no-such-bucket"):
        await store.put(PACKAGE)


async def test_a_layer_of_an_image_is_written_to_a_file(store: CodeStore, tmp_path: Path) -> None:
    layer = bytes(range(256)) * 50_000
    digest = hashlib.sha256(layer).hexdigest()
    for _ in range(2):
        await store.put_layer(digest, io.BytesIO(layer))
    await store.fetch_layer(digest, tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == layer
    with pytest.raises(CodeNotFound, match=digest):
        await store.get(digest)


async def test_a_layer_that_is_another_than_its_digest_says_is_refused(
    store: CodeStore, tmp_path: Path
) -> None:
    await store.put_layer(OTHER_DIGEST, io.BytesIO(b"damaged"))
    with pytest.raises(CodeCorrupt, match=OTHER_DIGEST):
        await store.fetch_layer(OTHER_DIGEST, tmp_path / "fetched")
    with pytest.raises(CodeNotFound, match=DIGEST):
        await store.fetch_layer(DIGEST, tmp_path / "missing")


async def test_a_damaged_layer_is_repaired_by_storing_it_again(store: CodeStore, tmp_path: Path) -> None:
    for number in range(2):  # and once more, where a damaged one lies aside already
        await store.put_layer(DIGEST, io.BytesIO(PACKAGE[:-1]))
        with pytest.raises(CodeCorrupt, match=DIGEST):
            await store.fetch_layer(DIGEST, tmp_path / f"damaged-{number}")
        assert (await store.objects(), await store.waste()) == ([], [])
    await store.put_layer(DIGEST, io.BytesIO(PACKAGE))
    damaged = await store.damaged()
    assert {each.name for each in damaged} == {f"{DIGEST}.layer"}
    for each in damaged:
        await store.remove(each)
    assert await store.damaged() == []
    await store.fetch_layer(DIGEST, tmp_path / "repaired")
    assert (tmp_path / "repaired").read_bytes() == PACKAGE


async def test_what_was_thrown_away_can_be_read_taken_back_and_removed(
    store: CodeStore, tmp_path: Path
) -> None:
    await store.put(PACKAGE)
    await store.put_layer(DIGEST, io.BytesIO(PACKAGE))
    names = {f"{DIGEST}.zip", f"{DIGEST}.layer"}
    assert {each.name for each in await store.objects()} == names
    for name in names:
        await store.throw_away(name)
        await store.throw_away(name)
    assert await store.objects() == []
    assert await store.get(DIGEST) == PACKAGE
    await store.fetch_layer(DIGEST, tmp_path / "layer")
    zipped, layer = sorted(await store.waste(), key=lambda each: each.name, reverse=True)
    await store.take_back(zipped)
    await store.remove(layer)
    for gone in (zipped, layer):
        await store.take_back(gone)
        await store.remove(gone)
    assert [each.name for each in await store.objects()] == [zipped.name]
    assert await store.waste() == []
    with pytest.raises(CodeNotFound):
        await store.fetch_layer(DIGEST, tmp_path / "gone")


async def test_everybody_who_uses_a_store_is_known(store: CodeStore) -> None:
    assert await store.owners("one") == {"one"}
    assert await store.owners("another") == {"one", "another"}
    assert await store.objects() == []
