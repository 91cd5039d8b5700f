from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from broker.settings import Settings
from deploy.cli import COMMANDS, HIDDEN, lightswitch, run
from deploy.commands.deploy import function_name_of, parse_variables
from deploy.commands.env import env_lines, stale_variables
from deploy.commands.options import find_endpoint
from deploy.commands.payload import read_payload
from deploy.credentials import Credentials, ensure_credentials
from deploy.data_dir import DataDir, RunningSystem
from deploy.errors import DeployError, NotRunning
from deploy.lazy_group import LazyGroup

KEYS = Credentials("KEY", "it's secret")


def test_env_lines_can_be_evaluated_by_a_shell() -> None:
    environ = {"LIGHTSWITCH_REGION": "eu-west-1", "AWS_ENDPOINT_URL_S3": "http://s3"}
    lines = list(env_lines(Settings.from_environ(environ), KEYS, "http://127.0.0.1:9000"))

    script = "\n".join([*lines, "env"])
    clean = {"PATH": os.environ["PATH"]}
    printed = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, env=clean, check=True
    ).stdout
    variables = dict(line.split("=", 1) for line in printed.splitlines())

    assert {name: value for name, value in variables.items() if name.startswith("AWS_")} == {
        "AWS_ACCESS_KEY_ID": "KEY",
        "AWS_SECRET_ACCESS_KEY": "it's secret",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:9000",
        "AWS_ENDPOINT_URL_S3": "http://s3",
    }


def test_the_endpoint_of_another_system_does_not_survive_env() -> None:
    settings = Settings.from_environ({"AWS_ENDPOINT_URL_LAMBDA": "http://old"})

    lines = list(env_lines(settings, KEYS, "http://new"))

    assert [line for line in lines if "LAMBDA" in line] == ["export AWS_ENDPOINT_URL_LAMBDA=http://new"]


def test_a_session_token_of_other_credentials_is_unset() -> None:
    assert list(stale_variables({"AWS_SESSION_TOKEN": "x", "HOME": "/root"})) == ["unset AWS_SESSION_TOKEN"]


@pytest.fixture
def running(tmp_path: Path) -> DataDir:
    data_dir = DataDir(tmp_path)
    data_dir.announce(RunningSystem(pid=os.getpid(), endpoint_url="http://127.0.0.1:9123", started_ms=0))
    return data_dir


def test_a_running_system_is_found_by_its_data_directory(running: DataDir) -> None:
    keys = ensure_credentials(running, {})
    theirs = {
        "AWS_ENDPOINT_URL_LAMBDA": "http://other",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }

    endpoint = find_endpoint(None, running.path, theirs)

    assert (endpoint.url, endpoint.credentials) == ("http://127.0.0.1:9123", keys)


def test_the_environment_names_a_system_elsewhere(running: DataDir) -> None:
    environ = {
        "LIGHTSWITCH_DATA_DIR": str(running.path),
        "AWS_ENDPOINT_URL_LAMBDA": "http://other/",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }

    endpoint = find_endpoint(None, None, environ)

    assert (endpoint.url, endpoint.credentials) == ("http://other", Credentials("a", "b"))


def test_an_option_wins_over_everything(running: DataDir) -> None:
    keys = ensure_credentials(running, {})

    endpoint = find_endpoint("http://asked", running.path, {"AWS_ENDPOINT_URL_LAMBDA": "http://other"})

    assert (endpoint.url, endpoint.credentials) == ("http://asked", keys)


def test_without_a_system_the_error_says_what_to_start(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match=rf"no system runs on {tmp_path}; start one with `lightswitch up`"):
        find_endpoint(None, tmp_path, {})


@pytest.mark.parametrize(
    ("folder", "name"),
    [("hello", "hello"), ("my function.v2", "my-function-v2"), ("a.zip", "a"), ("...", "function")],
)
def test_a_function_is_named_after_its_folder(folder: str, name: str) -> None:
    assert function_name_of(Path("/code") / folder) == name


def test_variables_are_pairs() -> None:
    assert parse_variables(["A=1", "B=x=y", "C="]) == {"A": "1", "B": "x=y", "C": ""}
    assert parse_variables([]) is None
    with pytest.raises(click.BadParameter, match="'A' is not of the form NAME=VALUE"):
        parse_variables(["A"])


def test_payloads_come_from_the_option_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "event.json").write_bytes(b'{"a": 1}')

    assert read_payload("[1]") == b"[1]"
    assert read_payload(f"@{tmp_path}/event.json") == b'{"a": 1}'
    with pytest.raises(DeployError, match=r"cannot read payload .*/none\.json: No such file"):
        read_payload(f"@{tmp_path}/none.json")


@pytest.mark.parametrize(("option", "piped", "payload"), [
    (None, b'{"a": 1}\n', b'{"a": 1}'), (None, b"", b"{}"), ("-", b"[2]", b"[2]"), ("[1]", b"[2]", b"[1]"),
])  # fmt: skip
def test_payloads_can_be_piped_in(option: str | None, piped: bytes, payload: bytes) -> None:
    code = f"""
import sys
from deploy.commands.payload import read_payload
sys.stdout.buffer.write(read_payload({option!r}))
"""

    read = subprocess.run([sys.executable, "-c", code], input=piped, capture_output=True, check=True)

    assert read.stdout == payload


@pytest.mark.parametrize(
    "name", [name for name in (*COMMANDS, *HIDDEN) if name not in ("gateway", "worker", "triggers")]
)
def test_every_command_can_be_loaded_and_explains_itself(name: str) -> None:
    assert isinstance(lightswitch, LazyGroup)
    command = lightswitch.get_command(click.Context(lightswitch), name)

    assert command is not None
    assert command.name == name
    assert command.help


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
from deploy.cli import run
run(["--help"])
heavy = {"asyncio", "boto3", "botocore", "rich", "redis", "fastapi", "deploy.up"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["dep"], 2, "lightswitch: No such command 'dep'."),
        (["invoke"], 2, "lightswitch: Missing argument 'NAME'. See: lightswitch invoke --help\n"),
        (["up", "--port", "x"], 2, "lightswitch: Invalid value for '--port': 'x' is not a valid integer"),
        (["list", "--data-dir", "/nowhere"], 1, "lightswitch: no system runs on /nowhere; start one"),
        (
            ["env", "--data-dir", "/nowhere"],
            1,
            "lightswitch: no credentials in /nowhere yet; `lightswitch up`",
        ),
    ],
)
def test_errors_are_one_line(
    arguments: list[str],
    status: int,
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_LAMBDA", raising=False)

    assert run(arguments) == status

    printed = capsys.readouterr()
    assert printed.err.startswith(complaint)
    assert printed.err.count("\n") == 1
    assert printed.out == ""
