"""`lightswitch up` as a child: started, waited for, called, wounded and stopped with everything below it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import boto3
import psutil
from botocore.config import Config

from broker.settings import DEFAULT_REGION
from tests.process_family import Closing, end_family
from tests.signed_requests import Endpoint

Role = Literal["gateway", "worker", "triggers", "redis"]

READY_WITHIN_SECONDS = 60
SHARED = ("--share", "/var/tmp")
"""Where functions of tests leave notes: the only part of this machine's files that they see."""
STOPPED_WITHIN_SECONDS = 40
FUNCTION_ROLE = "arn:aws:iam::123456789012:role/test"


class LiveSystem(Closing):
    """One running system over `data_dir`, whose ancestors other users must be able to traverse.

    What `up` says to its operator goes to a file beside the data directory.
    """

    def __init__(
        self,
        data_dir: Path,
        arguments: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        shared: Sequence[str] = SHARED,
    ) -> None:
        self.data_dir = data_dir
        self.log_file = data_dir.with_name(f"{data_dir.name}.up.log")
        program = str(Path(sys.executable).with_name("lightswitch"))
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [program, "up", "--port", "0", "--data-dir", str(data_dir), *shared, *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                env={**os.environ, **(variables or {})},
            )
        try:
            self.url = self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Of `up` itself."""
        return self._process.pid

    def wait(self) -> int:
        """Wait for the end of `up`; its exit status."""
        return self._process.wait(STOPPED_WITHIN_SECONDS)

    def _wait_until_ready(self) -> str:
        assert self._process.stdout is not None
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < deadline:
            if select.select([self._process.stdout], [], [], 0.5)[0]:
                line = self._process.stdout.readline()
                if line.startswith("ready "):
                    return line.split()[1]
                if not line:
                    break
        raise RuntimeError(f"`lightswitch up` did not get ready:\n{self.log_file.read_text()[-2000:]}")

    @cached_property
    def endpoint(self) -> Endpoint:
        """Address and keys."""
        keys = json.loads((self.data_dir / "credentials.json").read_text())
        address = urlsplit(self.url)
        assert address.hostname
        assert address.port
        return Endpoint(
            address.hostname,
            address.port,
            keys["access_key_id"],
            keys["secret_access_key"],
            DEFAULT_REGION,
        )

    @cached_property
    def client(self) -> Any:
        """A boto3 client that tries everything once."""
        return boto3.client(
            "lambda",
            endpoint_url=self.url,
            region_name=self.endpoint.region,
            aws_access_key_id=self.endpoint.access_key,
            aws_secret_access_key=self.endpoint.secret_key,
            config=Config(max_pool_connections=64, retries={"total_max_attempts": 1}, read_timeout=60),
        )

    @cached_property
    def redis_socket(self) -> Path:
        """The socket of the Redis that `up` started, from its configuration."""
        for line in (self.data_dir / "redis" / "redis.conf").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "unixsocket":
                return Path(value.strip('"'))
        raise RuntimeError(f"{self.data_dir}/redis/redis.conf names no unixsocket")

    def deploy(
        self,
        name: str,
        package: bytes,
        *,
        runtime: str = "python3.11",
        handler: str = "app.handler",
        timeout_seconds: int = 60,
        **more: Any,
    ) -> None:
        """Create a function (`more` goes to CreateFunction) and wait until it is Active."""
        self.client.create_function(
            FunctionName=name,
            Runtime=runtime,
            Role=FUNCTION_ROLE,
            Handler=handler,
            Code={"ZipFile": package},
            Timeout=timeout_seconds,
            **more,
        )
        while self.client.get_function_configuration(FunctionName=name)["State"] == "Pending":
            time.sleep(0.01)

    def processes(self) -> set[psutil.Process]:
        """Every process below `up`."""
        return set(psutil.Process(self._process.pid).children(recursive=True))

    def pids(self, role: Role) -> list[int]:
        """The children of `up` that play a role, by their command lines."""
        found = []
        for child in psutil.Process(self._process.pid).children():
            try:
                command = child.cmdline()
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            if _role(command) == role:
                found.append(child.pid)
        return found

    def close(self) -> float:
        """Ask it to stop, kill what is left; how long it took to stop, in seconds."""
        started = time.monotonic()
        end_family(self._process, STOPPED_WITHIN_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return time.monotonic() - started


def _role(command: Sequence[str]) -> Role | None:
    if command and ("redis" in Path(command[0]).name or "valkey" in Path(command[0]).name):
        return "redis"
    roles: tuple[Role, ...] = ("gateway", "worker", "triggers")
    return next((role for role in roles if role in command), None)
