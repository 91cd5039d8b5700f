from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from broker.settings import UNIX_SOCKET_PATH_BYTES, Settings, embedded_redis_socket
from deploy.data_dir import DataDir, RunningSystem, private_directory, write_atomically
from deploy.errors import DeployError


def test_a_second_user_of_a_data_directory_is_told_who_has_it(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    with (
        data_dir.locked(),
        pytest.raises(DeployError, match=rf"pid {os.getpid()}\) already runs on {tmp_path}"),
    ):
        data_dir.locked().__enter__()


def test_the_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    with data_dir.locked():
        pass
    with data_dir.locked():
        assert (tmp_path / "up.lock").read_text() == f"{os.getpid()}\n"


def test_a_running_system_is_found_by_its_announcement(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    system = RunningSystem(pid=os.getpid(), endpoint_url="http://127.0.0.1:9000", started_ms=1)

    data_dir.announce(system)

    assert data_dir.running() == system


def test_a_system_whose_process_is_gone_does_not_run(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    data_dir = DataDir(tmp_path)

    data_dir.announce(RunningSystem(pid=gone.pid, endpoint_url="http://127.0.0.1:9000", started_ms=1))

    assert data_dir.running() is None


def test_no_system_runs_where_none_was_announced(tmp_path: Path) -> None:
    assert DataDir(tmp_path).running() is None


def test_private_directories_are_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o777)

    private_directory(tmp_path / "open")

    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o700


def test_a_link_in_place_of_a_private_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(DeployError, match="belongs to somebody else"):
        private_directory(tmp_path / "link")


def test_files_are_written_with_their_mode_from_the_start(tmp_path: Path) -> None:
    write_atomically(tmp_path / "secret", b"x", mode=0o600)
    write_atomically(tmp_path / "secret", b"y", mode=0o600)

    assert (tmp_path / "secret").read_bytes() == b"y"
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "secret"]


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DeployError, match=r"cannot use data directory .*/file/data: Not a directory"):
        DataDir(tmp_path / "file" / "data").create()


def test_the_socket_lies_in_the_data_directory() -> None:
    assert embedded_redis_socket(Path("/srv/data")) == Path("/srv/data/redis/redis.sock")


def test_the_socket_of_a_deep_data_directory_is_short_and_the_same_for_everyone() -> None:
    deep = Path("/srv") / ("deep" * 30)

    socket = Settings.from_environ({"LIGHTSWITCH_DATA_DIR": str(deep)}).redis_url.removeprefix("unix://")

    assert socket == str(embedded_redis_socket(deep))
    assert len(socket) <= UNIX_SOCKET_PATH_BYTES
    assert socket != str(embedded_redis_socket(deep / "other"))
