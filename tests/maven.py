"""Libraries from Maven Central, fetched once into the user's cache."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.acceptance.download_cache import filling_cache
from tests.web_server import Unavailable

FETCHED_WITHIN_SECONDS = 180


def libraries(name: str, dependency: str, version: str) -> Path:
    """The folder of a dependency (`GROUP:ARTIFACT`) and all that it needs. Raises Unavailable."""
    for tool in ("mvn", "java"):
        if shutil.which(tool) is None:
            raise Unavailable(f"no {tool} on PATH to run {name} with")
    with filling_cache("libraries") as cache:
        folder = cache / f"{name}-{version}"
        if not folder.exists():
            fetch(name, _pom(name, dependency, version), folder)
        return folder


def _pom(name: str, dependency: str, version: str) -> str:
    group, _, artifact = dependency.partition(":")
    return f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>lightswitch.tests</groupId><artifactId>{name}</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>
  </dependency></dependencies>
</project>
"""


def fetch(name: str, pom: str, folder: Path) -> None:
    """Fill a folder with what a project needs. Raises Unavailable."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / "pom.xml").write_text(pom)
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={partial}", "-DincludeScope=runtime"]
    try:
        with filling_cache("maven"):  # Maven's own cache is not made for several at a time
            done = subprocess.run(
                ["mvn", "-q", "-B", *goal],
                cwd=partial,
                capture_output=True,
                text=True,
                timeout=FETCHED_WITHIN_SECONDS,
            )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"Maven did not fetch {name} within {FETCHED_WITHIN_SECONDS} s") from None
    if done.returncode:
        raise Unavailable(f"Maven cannot fetch {name}: {(done.stdout + done.stderr)[-500:]}")
    partial.rename(folder)
