"""`lightswitch up` as a child: started, waited for, called with boto3, stopped with everything below it."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
import psutil
from botocore.config import Config

from tests.benchmarks.load.calls import Endpoint

READY_WITHIN_SECONDS = 60
STOPPED_WITHIN_SECONDS = 30
ROLE = "arn:aws:iam::123456789012:role/benchmark"


class Lightswitch:
    """One running system over `data_dir`."""

    def __init__(self, data_dir: Path, arguments: Sequence[str] = ()) -> None:
        self.data_dir = data_dir
        self._port = free_port()
        self._program = str(Path(sys.executable).with_name("lightswitch"))
        command = [self._program, "up", "--port", str(self._port), "--data-dir", str(data_dir), *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            self._wait_until_ready()
            self.endpoint = self._read_endpoint()
            self.client = self._make_client()
        except BaseException:
            self.close()
            raise

    def _wait_until_ready(self) -> None:
        assert self._process.stdout is not None
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < deadline:
            if select.select([self._process.stdout], [], [], 0.5)[0]:
                line = self._process.stdout.readline()
                if line.startswith("ready "):
                    return
                if not line:
                    raise RuntimeError(f"`lightswitch up` ended with status {self._process.wait()}")
        raise RuntimeError(f"`lightswitch up` was not ready in {READY_WITHIN_SECONDS} s; see {self.data_dir}")

    def _read_endpoint(self) -> Endpoint:
        """What `lightswitch env` tells every user."""
        printed = subprocess.run(
            [self._program, "env", "--data-dir", str(self.data_dir)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        exports = [line.removeprefix("export ") for line in printed.splitlines()]
        variables = {name: value.strip("'\"") for name, _, value in (line.partition("=") for line in exports)}
        return Endpoint(
            host="127.0.0.1",
            port=self._port,
            access_key=variables["AWS_ACCESS_KEY_ID"],
            secret_key=variables["AWS_SECRET_ACCESS_KEY"],
            region=variables.get("AWS_DEFAULT_REGION") or variables["AWS_REGION"],
        )

    def _make_client(self) -> Any:
        return boto3.client(
            "lambda",
            endpoint_url=self.endpoint.url,
            region_name=self.endpoint.region,
            aws_access_key_id=self.endpoint.access_key,
            aws_secret_access_key=self.endpoint.secret_key,
            config=Config(max_pool_connections=32, retries={"total_max_attempts": 1}, read_timeout=120),
        )

    @property
    def redis_socket(self) -> Path:
        """The socket of the Redis that `up` started, from its configuration."""
        for line in (self.data_dir / "redis" / "redis.conf").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "unixsocket":
                return Path(value.strip('"'))
        raise RuntimeError(f"{self.data_dir}/redis/redis.conf names no unixsocket")

    def deploy(
        self, name: str, package: bytes, *, runtime: str = "python3.11", timeout_seconds: int = 60
    ) -> None:
        """Create a function and wait until it is Active."""
        self.client.create_function(
            FunctionName=name,
            Runtime=runtime,
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": package},
            Timeout=timeout_seconds,
            MemorySize=128,
        )
        while self.client.get_function_configuration(FunctionName=name)["State"] == "Pending":
            time.sleep(0.01)

    def deploy_many(self, names: Iterable[str], package: bytes) -> None:
        """Create several functions, a few at a time."""
        with ThreadPoolExecutor(8) as pool:
            for deployed in [pool.submit(self.deploy, name, package) for name in names]:
                deployed.result()

    def processes(self) -> set[psutil.Process]:
        """Every process below `up`."""
        return set(psutil.Process(self._process.pid).children(recursive=True))

    def close(self) -> None:
        """Ask it to stop; kill what is left."""
        try:
            family = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        self._process.terminate()
        try:
            self._process.wait(STOPPED_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for process in family:
            if process.is_running():
                process.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pss_bytes(processes: Iterable[psutil.Process]) -> int:
    """Proportional set size of processes, added up; those that are gone count nothing."""
    total = 0
    for process in processes:
        try:
            with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def inherited_environ() -> dict[str, str]:
    """This process's environment without the variables that would point a system elsewhere."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("LIGHTSWITCH_", "AWS_"))
    }
