"""A real RabbitMQ for tests: an own node on free loopback ports, with its own port mapper, killed at will."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

SCRIPTS = Path("/usr/lib/rabbitmq/bin")
"""Debian's. What Debian puts on PATH insists on the system's user and files."""


def find_server() -> Path | None:
    """The start script of RabbitMQ, where it is installed together with Erlang."""
    script = SCRIPTS / "rabbitmq-server"
    return script if script.exists() and shutil.which("erl") else None


class RabbitmqServer:
    """One node with all its files in `directory`. `start` returns when it takes connections."""

    def __init__(self, script: Path, directory: Path) -> None:
        self._script = script
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._mapper: subprocess.Popen[bytes] | None = None
        self._name = f"test-{secrets.token_hex(4)}@localhost"
        self.port = _free_port()
        self._mapper_port = _free_port()
        self._distribution_port = _free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self, within_seconds: float = 60) -> None:
        """Start the node and wait for it."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._configure()
        if self._mapper is None:
            self._mapper = subprocess.Popen(
                [shutil.which("epmd") or "epmd", "-port", str(self._mapper_port), "-address", "127.0.0.1"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        with (self._directory / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._script)], stdout=log, stderr=log, env=self._environment(), start_new_session=True
            )
        deadline = time.monotonic() + within_seconds
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"rabbitmq did not start: {(self._directory / 'output.log').read_text()}")
            time.sleep(0.05)

    def stop_node(self) -> None:
        """End the node at once, as a crash does, with all of its helpers."""
        if self._process is not None:
            _kill_group(self._process.pid)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End everything."""
        self.stop_node()
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper.wait()
            self._mapper = None

    def _configure(self) -> None:
        (self._directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.port}\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n"
            "disk_free_limit.absolute = 1MB\nvm_memory_high_watermark.relative = 0.9\n"
        )
        (self._directory / "enabled_plugins").write_text("[].\n")

    def _environment(self) -> dict[str, str]:
        base = str(self._directory)
        return {
            **os.environ,
            "HOME": base,
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONFIG_FILE": f"{base}/rabbitmq",
            "RABBITMQ_CONF_ENV_FILE": f"{base}/none.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{base}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{base}/mnesia",
            "RABBITMQ_LOG_BASE": f"{base}/log",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
            ),
        }

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            try:
                probe.connect(("127.0.0.1", self.port))
                probe.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(probe.recv(8))
            except OSError:
                return False


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, 9)
    except ProcessLookupError:
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
