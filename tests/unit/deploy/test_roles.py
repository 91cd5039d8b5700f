from __future__ import annotations

from pathlib import Path

import pytest

from broker.settings import Settings
from deploy.data_dir import DataDir
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
