"""ElasticMQ, an SQS server of its own make: from Maven Central, kept in the user's cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lightswitch-tests"
RESOLVED_WITHIN_SECONDS = 180


class Unavailable(Exception):
    """It cannot be run here; the text says why."""


def classpath() -> str:
    """The server's libraries, fetched once. Raises Unavailable."""
    for tool in ("mvn", "java"):
        if shutil.which(tool) is None:
            raise Unavailable(f"no {tool} on PATH to run ElasticMQ with")
    libraries = CACHE / "elasticmq-1.7.1"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not libraries.exists():
            _resolve(libraries)
    return f"{libraries}/*"


def _resolve(libraries: Path) -> None:
    partial = libraries.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={partial}"]
    try:
        done = subprocess.run(
            ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), *goal],
            capture_output=True,
            text=True,
            timeout=RESOLVED_WITHIN_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"Maven did not resolve ElasticMQ within {RESOLVED_WITHIN_SECONDS} s") from None
    if done.returncode:
        raise Unavailable(f"Maven could not resolve ElasticMQ: {done.stdout[-500:]}")
    partial.rename(libraries)


class ElasticMq:
    """Answers at `url` from `start` until `stop`, with all queues gone after that; dies with its starter."""

    def __init__(self, directory: Path, heap: str = "256m") -> None:
        self._log = directory / "elasticmq.log"
        self._heap = heap
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, within_seconds: float = 60) -> None:
        """Return when it answers. Raises Unavailable."""
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        java = ["java", f"-Xmx{self._heap}", "-XX:+UseSerialGC", "-cp", classpath()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, *java, str(HERE / "Launch.java"), str(self._port)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + within_seconds
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"ElasticMQ did not start: {self._log.read_text()[-500:]}")
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server was not started"
        return self._process.pid

    def stop(self) -> None:
        """Nothing happens where none runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/health", timeout=1).close()
        except urllib.error.HTTPError:
            return True
        except (urllib.error.URLError, OSError):
            return False
        return True
