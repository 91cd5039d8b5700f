"""Extensions that others wrote, unmodified, in a running system: AWS's web adapter, and AWS's crate."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command_line import CommandLine
from tests.acceptance.download_cache import download_cache
from tests.acceptance.functions import call
from tests.deployment_packages import package
from tests.installed_packages import files_of
from tests.live_system import LiveSystem

pytestmark = pytest.mark.timeout(600)
"""The first run compiles what is written in Rust."""

SOURCE = Path(__file__).parent / "guests" / "rust_extensions"
BUILD_SECONDS = 240
"""What a first build may take; the next run goes on where it ended."""

WEB_APP = b"""
import asyncio, os
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

async def hello(request):
    if request.query_params.get("wait"):
        await asyncio.sleep(float(request.query_params["wait"]))
    context = request.headers.get("x-amzn-lambda-context", "")
    return JSONResponse({"path": request.url.path, "query": dict(request.query_params),
                         "method": request.method, "body": (await request.body()).decode(),
                         "knows": bool(context), "process": os.getpid(),
                         "environment": os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]})

app = Starlette(routes=[Route("/{rest:path}", hello, methods=["GET", "POST"])])
"""
RUN = b"""#!/bin/sh
exec python3 -m uvicorn app:app --host 127.0.0.1 --port 8080 --log-level warning
"""
ADAPTERS_BOOTSTRAP = b"""#!/bin/bash
exec -- "${LAMBDA_TASK_ROOT}/${_HANDLER}"
"""


@pytest.fixture(scope="session")
def guests() -> Path:
    """The folder of the built programs; the compiler's results stay in a cache."""
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("cargo is not installed")
    target = download_cache("cargo")
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target)}
    fetched = subprocess.run([cargo, "fetch", "--locked"], cwd=SOURCE, env=environment, capture_output=True)
    if fetched.returncode != 0:
        pytest.skip(f"crates cannot be downloaded: {fetched.stderr.decode()[-300:]}")
    build = [cargo, "build", "--locked", "--offline"]
    try:
        subprocess.run(build, cwd=SOURCE, env=environment, check=True, timeout=BUILD_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"the crates could not be compiled in {BUILD_SECONDS} s; the next run goes on with them")
    return target / "debug"


def layer(system: LiveSystem, name: str, files: dict[str, bytes]) -> str:
    """A published layer's ARN."""
    published = system.client.publish_layer_version(LayerName=name, Content={"ZipFile": package(files)})
    arn: str = published["LayerVersionArn"]
    return arn


def public_url(system: LiveSystem, function_name: str, **more: Any) -> str:
    made = system.client.create_function_url_config(FunctionName=function_name, AuthType="NONE", **more)
    system.client.add_permission(
        FunctionName=function_name,
        StatementId="public",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )
    url: str = made["FunctionUrl"]
    return url


def fetched(url: str, body: bytes | None = None) -> Any:
    with urllib.request.urlopen(url, body, timeout=30) as answer:
        return json.loads(answer.read())


@pytest.mark.parametrize("mode", ["buffered", "response_stream"])
def test_a_plain_web_application_runs_behind_awss_web_adapter(
    running_system: LiveSystem, function_name: str, guests: Path, mode: str
) -> None:
    adapter = (guests / "lambda-adapter").read_bytes()
    files = {"extensions/lambda-adapter": adapter, "bootstrap": ADAPTERS_BOOTSTRAP}
    code = {
        "app.py": WEB_APP,
        "run.sh": RUN,
        **files_of("starlette", "uvicorn", "click", "h11", "anyio", "idna", "typing-extensions"),
    }
    running_system.deploy(
        function_name,
        package(code),
        Layers=[layer(running_system, function_name, files)],
        Environment={
            "Variables": {
                "AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap",
                "AWS_LWA_INVOKE_MODE": mode,
            }
        },
    )
    running_system.client.update_function_configuration(FunctionName=function_name, Handler="run.sh")
    more = {"InvokeMode": "RESPONSE_STREAM"} if mode == "response_stream" else {}
    url = public_url(running_system, function_name, **more)

    first = fetched(f"{url}some/where?a=1")
    second = fetched(f"{url}post", b"posted")

    assert (first["path"], first["query"], first["method"]) == ("/some/where", {"a": "1"}, "GET")
    assert (second["path"], second["body"], second["method"]) == ("/post", "posted", "POST")
    assert first["knows"]
    assert first["process"] == second["process"]
    if os.geteuid() == 0:
        # Environments whose applications serve the same port at the same time; without root they share it.
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(fetched, [f"{url}?wait=1"] * 3))
        assert len({answer["environment"] for answer in answers}) == 3


TALKER = b"""
def handler(event, context):
    print("the function says", event)
    return event
"""


@pytest.mark.parametrize("api", ["telemetry", "logs"])
def test_an_extension_on_awss_crate_watches_runs(
    running_system: LiveSystem, function_name: str, guests: Path, command_line: CommandLine, api: str
) -> None:
    layers = [layer(running_system, function_name, {"extensions/watcher": (guests / "watcher").read_bytes()})]
    variables = {"WATCH_LOGS": "1"} if api == "logs" else {"RUST_LOG": "warn"}
    running_system.deploy(
        function_name, package({"app.py": TALKER}), Layers=layers, Environment={"Variables": variables}
    )

    assert [call(running_system, function_name, number) for number in (1, 2)] == [1, 2]
    # A changed configuration retires the environment: its extension is told of the end.
    running_system.client.update_function_configuration(FunctionName=function_name, Description="changed")
    awaited = '"platform.report"' if api == "telemetry" else "PlatformReport"
    give_up = time.monotonic() + 30
    said = ""
    while awaited not in said or "WATCHER shutdown spindown" not in said:
        said = command_line.run("logs", function_name).stdout
        assert time.monotonic() < give_up, said
        # What a batch waits for may come while the environment is frozen: let it go on.
        call(running_system, function_name, 3)

    assert said.count("WATCHER invoke") >= 2
    assert "EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE,SHUTDOWN]" in said
    if api == "telemetry":
        told = [json.loads(line) for line in re.findall(r"WATCHER telemetry (.*)", said)]
        assert [event["record"] for event in told if event["type"] == "function"][:2] == [
            "the function says 1",
            "the function says 2",
        ]
        reports = [event["record"] for event in told if event["type"] == "platform.report"]
        assert "initDurationMs" in reports[0]["metrics"]
        kinds = {event["type"] for event in told}
        assert {
            "platform.initStart",
            "platform.initReport",
            "platform.start",
            "platform.runtimeDone",
        } <= kinds
    else:
        assert 'WATCHER log Function("the function says 1")' in said
        assert "WATCHER log PlatformRuntimeDone" in said
        assert "WATCHER log PlatformReport" in said
