from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from broker.settings import Settings
from deploy import local_aws
from deploy.credentials import Credentials
from deploy.data_dir import DataDir
from deploy.errors import DeployError
from deploy.local_aws import LocalAws, local_aws_child, new_local_aws
from deploy.roles import UpOptions, gateway_child, worker_children


def options(host: str = "127.0.0.1", workers: int = 1) -> UpOptions:
    return UpOptions(
        settings=Settings.from_environ({}, data_dir=Path("/data")),
        data_dir=DataDir(Path("/data")),
        host=host,
        port=9000,
        workers=workers,
        drain_seconds=20,
        embedded=True,
    )


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:9000"),
        ("0.0.0.0", "http://127.0.0.1:9000"),
        ("::", "http://[::1]:9000"),
        ("10.0.0.7", "http://10.0.0.7:9000"),
    ],
)
def test_a_gateway_is_reached_where_it_listens(host: str, url: str) -> None:
    assert options(host).endpoint_url == url


def test_command_lines_name_their_role() -> None:
    [worker] = worker_children(options())

    assert "worker" in worker.command
    assert "gateway" in gateway_child(options()).command


def test_workers_share_the_machine_and_know_it() -> None:
    children = worker_children(options(workers=3))

    assert [child.name for child in children] == ["worker-1", "worker-2", "worker-3"]
    assert all("--siblings 2" in " ".join(child.command) for child in children)


def test_workers_are_given_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTSWITCH_SECRET_ACCESS_KEY", "hidden")

    assert "hidden" not in worker_children(options())[0].environ.values()
    assert "hidden" in gateway_child(options()).environ.values()


def test_every_process_is_told_where_the_others_are() -> None:
    [worker] = worker_children(options())

    assert worker.environ["LIGHTSWITCH_REDIS_URL"] == "unix:///data/redis/redis.sock"
    assert worker.environ["AWS_ENDPOINT_URL_LAMBDA"] == "http://127.0.0.1:9000"


def test_a_child_gets_its_time_to_drain_and_a_little_more() -> None:
    assert gateway_child(options()).stop_within_seconds == 25


def test_local_services_replace_the_real_ones_for_the_platform_and_its_functions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.setenv(name, "real")
    local = LocalAws(5000, Credentials("LOCAL", "local secret"))

    [worker] = worker_children(replace(options(), local_aws=local))
    settings = Settings.from_environ(worker.environ)

    assert "real" not in worker.environ.values()
    assert settings.endpoint_urls["AWS_ENDPOINT_URL_S3"] == "http://127.0.0.1:5000"
    assert settings.endpoint_urls["AWS_ENDPOINT_URL_LAMBDA"] == "http://127.0.0.1:9000"
    assert settings.function_credentials == ("LOCAL", "local secret")
    assert "local secret" not in repr(settings) + repr(local) + repr(worker)


def test_local_services_listen_on_loopback_only() -> None:
    child = local_aws_child(LocalAws(5000, Credentials("a", "b")), DataDir(Path("/data")), "123456789012", {})

    assert child.command[-2:] == ("127.0.0.1", "5000")
    assert child.environ == {"MOTO_ACCOUNT_ID": "123456789012"}


def test_without_moto_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_aws, "find_spec", lambda name: None)

    with pytest.raises(DeployError, match=r"lightswitch\[local\]"):
        new_local_aws()
