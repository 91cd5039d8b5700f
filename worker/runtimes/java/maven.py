"""Gets the client and what it needs from Maven Central, with Maven."""

from __future__ import annotations

import platform
import shutil
import subprocess
import zipfile
from collections.abc import Iterable
from pathlib import Path

from worker.runtimes.java.compiler import PREFIX
from worker.runtimes.official.interface import CannotInstall

POM = Path(__file__).with_name("pom.xml")
VERSION = "2.10.1"
CLIENT = f"aws-lambda-java-runtime-interface-client-{VERSION}.jar"
NATIVE_NAMES = {"x86_64": "x86_64", "aarch64": "aarch_64"}
"""What the client's native part is called, by machine."""


def fetch_client(libraries: Path, others: Iterable[Path]) -> None:
    """Put the jars into `libraries`, from that of `others` which has them already. Raises CannotInstall."""
    for other in others:
        if (other / CLIENT).is_file():
            shutil.copytree(other, libraries, ignore=shutil.ignore_patterns(f"{PREFIX}*"))
            return
    _fetch(libraries)


def _fetch(libraries: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise CannotInstall("AWS's client for Java comes with Maven; there is no mvn on the PATH")
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={libraries}", f"-Dclient.version={VERSION}"]
    done = subprocess.run([maven, "-q", "-B", "-f", str(POM), *goal], capture_output=True, text=True)
    if done.returncode != 0 or not (libraries / CLIENT).is_file():
        raise CannotInstall(
            f"Maven could not get AWS's client for Java: {(done.stdout + done.stderr)[-2000:]}"
        )


def unpack_native_part(libraries: Path, target: Path) -> None:
    """Lay the client's native part for this machine at `target`: else each start would unpack it to /tmp.

    Raises CannotInstall.
    """
    name = NATIVE_NAMES.get(platform.machine())
    if name is None:
        raise CannotInstall(f"AWS's client for Java has no native part for {platform.machine()}")
    with zipfile.ZipFile(libraries / CLIENT) as archive:
        content = archive.read(f"jni/libaws-lambda-jni.linux-{name}.so")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    target.chmod(0o755)
