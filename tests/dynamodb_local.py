"""AWS's own DynamoDB Local for tests: fetched by Maven once into a cache of the user, run on a free port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

VERSION = "3.0.0"
_MAIN = "software.amazon.dynamodb.services.local.main.ServerRunner"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>lightswitch.tests</groupId><artifactId>dynamodb-local</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>software.amazon.dynamodb</groupId>
    <artifactId>DynamoDBLocal</artifactId>
    <version>{VERSION}</version>
  </dependency></dependencies>
</project>
"""


class NotAvailable(Exception):
    """It cannot be run on this machine; the text says why."""


def find_libraries() -> Path:
    """The folder of its jars and native libraries, fetched where it is not there yet. Raises NotAvailable."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise NotAvailable(f"no {program} on PATH")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "lightswitch-tests" / f"dynamodb-local-{VERSION}"
    if not (folder / "complete").exists():
        _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pom.xml").write_text(_POM)
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={folder}", "-DincludeScope=runtime"]
    try:
        done = subprocess.run(
            ["mvn", "--quiet", "--batch-mode", *goal],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotAvailable("Maven did not fetch DynamoDB Local within 90 seconds") from None
    if done.returncode:
        raise NotAvailable(f"Maven cannot fetch DynamoDB Local: {(done.stdout + done.stderr)[-300:]}")
    (folder / "complete").touch()


class DynamoDBLocal:
    """Answers at `url` from `start` until `stop`, with its tables in memory."""

    def __init__(self, libraries: Path, directory: Path) -> None:
        self._libraries = libraries
        self._directory = directory
        self._log = directory / "dynamodb-local.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, within_seconds: float = 60) -> None:
        """Return when the server answers. Raises RuntimeError."""
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        java = ["java", f"-Djava.library.path={self._libraries}", "-cp", f"{self._libraries}/*", _MAIN]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, *java, "-port", str(self.port), "-inMemory"],
                cwd=self._directory,  # where it leaves a file
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + within_seconds
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"DynamoDB Local did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Nothing happens where none runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url, timeout=1).close()
        except urllib.error.HTTPError:
            return True  # an unsigned request is refused
        except (urllib.error.URLError, OSError):
            return False
        return True
