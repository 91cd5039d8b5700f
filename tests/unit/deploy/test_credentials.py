from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from deploy.credentials import Credentials, ensure_credentials, find_credentials
from deploy.data_dir import DataDir
from deploy.errors import DeployError


def test_the_first_start_makes_them_and_later_ones_find_them(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)

    made = ensure_credentials(data_dir, {})

    assert ensure_credentials(data_dir, {}) == made
    assert find_credentials(data_dir, {}) == made


def test_they_look_like_those_of_aws(tmp_path: Path) -> None:
    made = ensure_credentials(DataDir(tmp_path), {})

    assert re.fullmatch(r"[A-Z2-7]{20}", made.access_key_id)
    assert len(made.secret_access_key) == 40


def test_only_this_user_can_read_the_file(tmp_path: Path) -> None:
    ensure_credentials(DataDir(tmp_path), {})

    assert stat.S_IMODE((tmp_path / "credentials.json").stat().st_mode) == 0o600


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    ensure_credentials(DataDir(tmp_path), {})
    environ = {"LIGHTSWITCH_ACCESS_KEY_ID": "KEY", "LIGHTSWITCH_SECRET_ACCESS_KEY": "secret"}

    assert ensure_credentials(DataDir(tmp_path), environ) == Credentials("KEY", "secret")


def test_there_are_none_before_the_first_start(tmp_path: Path) -> None:
    assert find_credentials(DataDir(tmp_path), {}) is None


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text("{")

    with pytest.raises(DeployError, match=r"cannot read .*credentials\.json"):
        find_credentials(DataDir(tmp_path), {})


def test_the_secret_is_not_shown() -> None:
    assert "hidden" not in repr(Credentials("KEY", "hidden"))
