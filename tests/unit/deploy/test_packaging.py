from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from deploy import packaging
from deploy.errors import DeployError
from deploy.packaging import package, zip_folder


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def names_in(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.namelist()


def test_the_same_files_make_the_same_zip(tmp_path: Path) -> None:
    write(tmp_path / "a", "app.py", "lib/x.py", "lib/y.py")
    write(tmp_path / "b", "lib/y.py", "app.py", "lib/x.py")
    os.utime(tmp_path / "b" / "app.py", (1, 1))

    assert zip_folder(tmp_path / "a") == zip_folder(tmp_path / "b")


def test_what_no_function_needs_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "app.py", ".git/config", "lib/__pycache__/x.pyc", "old.pyc", ".venv/bin/python", ".env")

    assert names_in(zip_folder(tmp_path)) == [".env", "app.py"]


def test_executables_stay_executable(tmp_path: Path) -> None:
    write(tmp_path, "app.py", "bootstrap")
    (tmp_path / "bootstrap").chmod(0o700)

    with zipfile.ZipFile(io.BytesIO(zip_folder(tmp_path))) as archive:
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.filelist}

    assert modes == {"app.py": 0o644, "bootstrap": 0o755}


def test_links_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "shared", "x.py")
    write(tmp_path / "function", "app.py")
    (tmp_path / "function" / "lib").symlink_to(tmp_path / "shared")

    with zipfile.ZipFile(io.BytesIO(zip_folder(tmp_path / "function"))) as archive:
        assert archive.read("lib/x.py") == b"x.py"


def test_a_link_to_a_folder_above_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "app.py")
    (tmp_path / "loop").symlink_to(tmp_path)

    with pytest.raises(DeployError, match="loop is a link to a folder that holds it"):
        zip_folder(tmp_path)


def test_a_broken_link_is_refused_rather_than_left_out(tmp_path: Path) -> None:
    (tmp_path / "app.py").symlink_to("nowhere")

    with pytest.raises(DeployError, match=r"app\.py is no file"):
        zip_folder(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="holds no files to deploy"):
        zip_folder(tmp_path)


def test_a_zip_is_deployed_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "function", "app.py")
    content = zip_folder(tmp_path / "function")
    (tmp_path / "ready.zip").write_bytes(content)

    assert package(tmp_path / "ready.zip") == content


def test_another_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "app.py")

    with pytest.raises(DeployError, match=r"app\.py is neither a folder nor a zip file"):
        package(tmp_path / "app.py")


def test_a_package_that_is_too_large_is_refused_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaging, "MAX_ZIP_BYTES", 10)
    write(tmp_path, "app.py")

    with pytest.raises(DeployError, match="more than the 10 that can be uploaded directly"):
        package(tmp_path)
