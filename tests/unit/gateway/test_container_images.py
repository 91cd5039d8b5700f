"""Images are found in what operators allow, checked to the last byte, and kept."""

# ruff: noqa: ASYNC240  # a test may wait for its files

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import IO

import pytest

from broker.code_store import CodeStore
from broker.container_image.errors import ImageRefused
from broker.container_image.layer_archive import Budget
from broker.settings import Settings
from gateway.container_images.found_image import LayerSource
from gateway.container_images.image_files import opened
from gateway.container_images.image_uri import parse
from gateway.container_images.intake import ImageIntake, check_layers
from tests.container_images import LayoutBuilder, Member, directory, layer, packed, saved

RUN = {"Entrypoint": ["/app"], "Cmd": ["serve"], "Env": ["A=1", "B=x=y"], "WorkingDir": "/srv"}
LAYERS = (layer(Member("app", b"1", 0o755)), layer(Member("data", b"2")))


class Layers:
    """A store of layers in memory that believes no digest."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put_layer(self, digest: str, layer: IO[bytes]) -> None:
        content = layer.read()
        assert hashlib.sha256(content).hexdigest() == digest
        self.kept[digest] = content


@pytest.fixture
def store() -> Layers:
    return Layers()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    directory = tmp_path / "images"
    directory.mkdir()
    return directory


@pytest.fixture
def intake(store: Layers, images: Path, tmp_path: Path) -> ImageIntake:
    return ImageIntake(store, [images], tmp_path)


@pytest.fixture
def layout(images: Path) -> LayoutBuilder:
    return LayoutBuilder(images / "layout")


async def refusal(intake: ImageIntake, uri: str, architecture: str = "x86_64") -> str:
    with pytest.raises(ImageRefused) as refused:
        await intake.take(uri, architecture)
    return str(refused.value)


async def test_an_image_of_a_layout_is_kept_with_what_it_says_about_running_it(
    intake: ImageIntake, store: Layers, layout: LayoutBuilder
) -> None:
    digest = layout.add(LAYERS, RUN, tag="v1")
    image = await intake.take(f"oci:{layout.path}:v1", "x86_64")
    assert (image.digest, image.resolved_uri) == (digest, f"oci:{layout.path}@sha256:{digest}")
    assert (image.entry_point, image.command, image.working_directory) == (("/app",), ("serve",), "/srv")
    assert image.environment == {"A": "1", "B": "x=y"}
    assert set(image.layers) == set(store.kept)
    assert await intake.take(image.resolved_uri, "x86_64", keep=False) == await intake.take(
        image.resolved_uri, "x86_64"
    )


async def test_the_same_layout_in_an_archive_is_the_same_image(
    intake: ImageIntake, layout: LayoutBuilder, images: Path
) -> None:
    digest = layout.add(LAYERS, RUN, compressed=False)
    archive = packed(layout.path, images / "layout.tar")
    assert (await intake.take(f"oci:{archive}", "x86_64")).digest == digest


async def test_tags_and_architectures_choose(intake: ImageIntake, layout: LayoutBuilder) -> None:
    for tag, architecture in (("v1", "amd64"), ("v2", "arm64")):
        layout.add(LAYERS, {"Cmd": [tag]}, tag=tag, architecture=architecture)
    assert (await intake.take(f"oci:{layout.path}:v2", "arm64")).command == ("v2",)
    assert "it has: v1, v2" in await refusal(intake, f"oci:{layout.path}")
    assert "it has: v1, v2" in await refusal(intake, f"oci:{layout.path}:v3")
    assert "for arm64, but the function's architecture is x86_64" in await refusal(
        intake, f"oci:{layout.path}:v2"
    )
    layout.nest("all", ("amd64", "arm64"))
    assert (await intake.take(f"oci:{layout.path}:all", "arm64")).command == ("v2",)


async def test_what_docker_save_writes_is_an_image(intake: ImageIntake, store: Layers, images: Path) -> None:
    archive = saved(images / "saved.tar", "shop:1", LAYERS, RUN)
    image = await intake.take(f"docker-archive:{archive}:shop:1", "x86_64")
    assert image == await intake.take(f"docker-archive:{archive}:shop:1", "x86_64")
    assert image.entry_point == ("/app",)
    assert [store.kept[digest] for digest in image.layers] == list(LAYERS)
    assert "it has: shop:1" in await refusal(intake, f"docker-archive:{archive}:other:1")


async def test_a_directory_is_an_image_of_one_layer(
    intake: ImageIntake, images: Path, tmp_path: Path
) -> None:
    (images / "root").mkdir()
    (images / "root" / "app").write_text("x")
    first = await intake.take(f"dir:{images}/root", "x86_64")
    assert len(first.layers) == 1
    assert first == await intake.take(f"dir:{images}/root", "x86_64")
    (images / "root" / "app").write_text("y")
    assert (await intake.take(f"dir:{images}/root", "x86_64")).digest != first.digest
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


async def test_damage_is_found_wherever_it_is(
    intake: ImageIntake, store: Layers, layout: LayoutBuilder
) -> None:
    digest = layout.add(LAYERS, RUN)
    manifest = json.loads(layout.blob(digest).read_text())
    for descriptor in (manifest["layers"][1], manifest["config"], {"digest": f"sha256:{digest}"}):
        blob = layout.blob(descriptor["digest"].removeprefix("sha256:"))
        whole = blob.read_bytes()
        blob.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert "is damaged" in await refusal(intake, f"oci:{layout.path}")
        blob.write_bytes(whole)
        blob.rename(f"{blob}-away")
        assert "has no blobs/" in await refusal(intake, f"oci:{layout.path}")
        Path(f"{blob}-away").rename(blob)
    assert store.kept == {}


async def test_a_layer_must_hold_what_the_configuration_names(
    intake: ImageIntake, layout: LayoutBuilder, images: Path
) -> None:
    other = LayoutBuilder(images / "other")
    config = json.loads(other.blob(other.add(LAYERS[:1])).read_text())["config"]
    manifest = json.loads(layout.blob(layout.add(LAYERS[1:])).read_text())
    config_blob = config["digest"].removeprefix("sha256:")
    layout.blob(config_blob).write_bytes(other.blob(config_blob).read_bytes())
    text = json.dumps({**manifest, "config": config}).encode()
    digest = hashlib.sha256(text).hexdigest()
    layout.blob(digest).write_bytes(text)
    assert "holds another archive" in await refusal(intake, f"oci:{layout.path}@sha256:{digest}")


@pytest.mark.parametrize(
    ("run", "text"),
    [({"Cmd": ["a\0b"]}, "NUL"), ({"Env": ["A=\0"]}, "NUL"), ({"Env": ["A=" + "x" * 65_536]}, "bytes, more")],
)
async def test_what_no_process_could_be_started_with_is_refused(
    intake: ImageIntake, layout: LayoutBuilder, run: dict[str, list[str]], text: str
) -> None:
    layout.add(LAYERS, run)
    assert text in await refusal(intake, f"oci:{layout.path}")


async def test_layers_of_an_archive_reach_the_real_store(
    layout: LayoutBuilder, images: Path, tmp_path: Path
) -> None:
    layout.add([layer(Member("app", bytes(9_000_000), 0o755))], RUN, compressed=False)
    url = f"file://{tmp_path}/code"
    store = CodeStore(Settings(redis_url="", data_dir=tmp_path, code_store_url=url))
    archive = packed(layout.path, images / "layout.tar")
    image = await ImageIntake(store, [images], tmp_path).take(f"oci:{archive}", "x86_64")
    await store.fetch_layer(image.layers[0], tmp_path / "fetched")
    assert (tmp_path / "fetched").stat().st_size > 9_000_000


@pytest.mark.parametrize("cut", [0, 700, 5_000])
async def test_an_archive_that_is_none_is_refused(
    intake: ImageIntake, layout: LayoutBuilder, images: Path, cut: int
) -> None:
    layout.add(LAYERS, RUN, compressed=False)
    archive = packed(layout.path, images / "layout.tar")
    archive.write_bytes(archive.read_bytes()[:cut])
    for kind in ("oci", "docker-archive"):
        assert await refusal(intake, f"{kind}:{archive}")


async def test_links_of_a_layout_do_not_lead_out(
    intake: ImageIntake, layout: LayoutBuilder, tmp_path: Path
) -> None:
    (tmp_path / "index.json").write_text("{}")
    (layout.path / "index.json").symlink_to(tmp_path / "index.json")
    assert "leads out of" in await refusal(intake, f"oci:{layout.path}")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"manifests": 1}', '{"manifests": [{"digest": "md5:1"}]}'])
async def test_documents_that_are_none_are_refused(
    intake: ImageIntake, layout: LayoutBuilder, text: str
) -> None:
    (layout.path / "index.json").write_text(text)
    assert await refusal(intake, f"oci:{layout.path}")


@pytest.mark.parametrize(
    "uri",
    [
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop:1",
        "public.ecr.aws/lambda/python:3.12",
        "oci:relative/path",
        "dir:/root:tag",
        "docker-archive:/a@sha256:" + "0" * 64,
        "oci:",
    ],
)
def test_what_cannot_be_had_is_refused_with_what_can(uri: str, tmp_path: Path) -> None:
    with pytest.raises(ImageRefused, match=r"oci:PATH.*docker-archive:PATH.*dir:PATH.*below /"):
        parse(uri, [tmp_path])


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "/".join(["d" * 200] * 30), "loop/image"])
def test_a_path_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ImageRefused, match="cannot be read"):
        parse(f"oci:{tmp_path}/{name}", [tmp_path])


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "loop/index.json"])
def test_a_file_that_no_layout_can_have_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with opened(tmp_path, tmp_path) as files, pytest.raises(ImageRefused, match="has no"):
        files.open(name)


def test_images_come_only_from_where_the_operator_says(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "out").symlink_to(tmp_path)
    for uri in (f"oci:{tmp_path}", f"oci:{allowed}/../other", f"dir:{allowed}/out", "dir:/"):
        with pytest.raises(ImageRefused, match=f"not below .*: {allowed}"):
            parse(uri, [allowed])
    with pytest.raises(ImageRefused, match="there is no"):
        parse(f"oci:{allowed}/missing", [allowed])
    with pytest.raises(ImageRefused, match="--image-directory"):
        parse(f"oci:{allowed}", [])


def source(content: bytes) -> LayerSource:
    return LayerSource(hashlib.sha256(content).hexdigest(), lambda: io.BytesIO(content))


def test_directories_that_a_layer_makes_on_the_way_count_as_its_entries_do() -> None:
    deep = "/".join("d" * 150)
    crafted = layer(*(Member(f"{number}/{deep}/file") for number in range(10)))
    check_layers([source(crafted)], Budget(most_entries=1520))
    with pytest.raises(ImageRefused, match="more than 1519 files"):
        check_layers([source(crafted)], Budget(most_entries=1519))


def test_directories_that_a_layer_names_count_once_and_removals_make_none() -> None:
    fair = layer(directory("a"), directory("a/b"), Member("a/b/c"), Member("a/b/d"), Member("x/y/.wh.z"))
    check_layers([source(fair)], Budget(most_entries=5))


async def test_a_layer_with_directories_too_deep_for_a_worker_is_refused(
    intake: ImageIntake, layout: LayoutBuilder
) -> None:
    layout.add((layer(Member("/".join("d" * 201))),), tag="deep")
    assert "more than 200 deep" in await refusal(intake, f"oci:{layout.path}:deep")
