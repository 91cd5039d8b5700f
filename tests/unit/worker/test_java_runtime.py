"""Java: what machines have, how functions are started, what their users may choose."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.runtimes.java.archive import archive_name, is_current
from worker.runtimes.java.client import JavaClient
from worker.runtimes.java.compiler import jar_name
from worker.runtimes.java.java_homes import find_java_homes, read_java_home
from worker.runtimes.java.options import java_options
from worker.runtimes.official.interface import Launch
from worker.sandbox.interface import Locations

SEEN = Locations("/var/task", "/var/runtime", "/tmp")


@pytest.fixture(autouse=True)
def no_java_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "none"))


def make_java(directory: Path, version: str = "17.0.15", vendor: str = "Debian") -> Path:
    """What counts of an installation."""
    program = directory / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (directory / "release").write_text(
        f'IMPLEMENTOR="{vendor}"\nJAVA_VERSION="{version}"\nMODULES="java.base"\n'
    )
    return directory


def make_installation(directory: Path, *jars: str) -> Path:
    """As `runtimes add` leaves it, with a Java of its own."""
    make_java(directory / "java")
    (directory / "lib").mkdir()
    for jar in jars:
        (directory / "lib" / jar).touch()
    (directory / "jni").mkdir()
    (directory / "jni" / "libaws-lambda-jni.so").touch()
    return directory


def test_javas_are_found_at_java_home_and_where_distributions_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(make_java(tmp_path / "own", "25.0.3")))
    make_java(tmp_path / "jvm" / "java-17-openjdk")
    (tmp_path / "jvm" / "java-1.17.0").symlink_to("java-17-openjdk")
    (tmp_path / "jvm" / "empty").mkdir()
    assert [home.major for home in find_java_homes(tmp_path / "jvm")] == [25, 17]


def test_an_installation_without_a_version_or_a_program_is_none(tmp_path: Path) -> None:
    home = make_java(tmp_path / "java")
    (home / "bin" / "java").chmod(0o644)
    assert read_java_home(home) is None
    assert read_java_home(tmp_path / "nothing") is None
    (home / "bin" / "java").chmod(0o755)
    (home / "release").write_text('IMPLEMENTOR="Debian"\n')
    assert read_java_home(home) is None


def test_a_function_is_started_as_on_lambda() -> None:
    assert java_options(17, 512, "", "/var/runtime/jni/client.so") == [
        "-XX:MaxRAM=512m",
        "-XX:MaxHeapSize=445645k",
        "-XX:+UseSerialGC",
        "-XX:+TieredCompilation",
        "-XX:TieredStopAtLevel=1",
        "--add-opens=java.base/java.io=ALL-UNNAMED",
        "-XX:+ErrorFileToStderr",
        "-Dorg.crac.Core.Compat=com.amazonaws.services.lambda.crac",
        "-Dcom.amazonaws.services.lambda.runtime.api.client.runtimeapi.NativeClient.JNI=/var/runtime/jni/client.so",
        "-Dfile.encoding=UTF-8",
    ]


@pytest.mark.parametrize(
    ("chosen", "ours"),
    [
        ("-Xmx100m", "MaxHeapSize"),
        ("-Dx=y -XX:MaxRAMPercentage=50", "MaxHeapSize"),
        ("-XX:+UseG1GC", "UseSerialGC"),
        ("-XX:TieredStopAtLevel=4", "TieredStopAtLevel"),
        ("-XX:-TieredCompilation", "TieredCompilation"),
    ],
)
def test_what_the_functions_user_chooses_is_not_decided_by_us(chosen: str, ours: str) -> None:
    assert ours in " ".join(java_options(17, 512, "", ""))
    assert ours not in " ".join(java_options(17, 512, chosen, ""))


def test_a_share_of_the_memory_is_one_of_the_functions() -> None:
    options = java_options(17, 512, "-XX:MaxRAMPercentage=50", "")
    assert options[0] == "-XX:MaxRAM=512m"
    assert "-XX:MaxRAM=512m" not in java_options(17, 512, "-XX:MaxRAM=300m", "")


def test_other_options_of_the_user_leave_ours_as_they_are() -> None:
    assert java_options(17, 512, "-Dgc=-XX:+UseG1GC -verbose:gc", "") == java_options(17, 512, "", "")


def test_later_versions_let_the_client_load_its_native_part_without_a_warning() -> None:
    assert "--enable-native-access=ALL-UNNAMED" in java_options(25, 512, "", "")


def test_the_client_comes_behind_the_jars_that_it_names_and_ours_last(tmp_path: Path) -> None:
    client = "aws-lambda-java-runtime-interface-client-2.10.1.jar"
    directory = make_installation(tmp_path / "java17", jar_name(), "utils.jar", client, "annotations.jar")
    runtime = JavaClient(17).ready(directory)
    assert runtime is not None
    command = runtime.command(SEEN, Launch("pkg.Class::method", 512, {}))
    assert command[0] == "/var/runtime/java/bin/java"
    names = ("annotations.jar", "utils.jar", client, jar_name())
    assert command[command.index("-cp") + 1] == ":".join(f"/var/runtime/lib/{name}" for name in names)
    assert command[-1] == "pkg.Class::method"


def test_an_installation_with_older_classes_of_ours_is_to_be_added_again(tmp_path: Path) -> None:
    directory = make_installation(tmp_path / "java17", "lightswitch-000000000000.jar")
    assert JavaClient(17).ready(directory) is None


def test_an_archive_is_used_only_with_the_build_of_java_that_made_it(tmp_path: Path) -> None:
    directory = make_installation(tmp_path / "java17", "client.jar")
    (directory / archive_name(17)).touch()
    (directory / "archive.build").write_text("Debian 17.0.15")
    home = read_java_home(directory / "java")
    assert home is not None
    assert is_current(directory, home)
    runtime = JavaClient(17).ready(directory)
    assert runtime is not None
    assert JavaClient(17).advice(directory) == ""
    archive = "-XX:SharedArchiveFile=/var/runtime/classes.jsa"
    assert archive in runtime.command(SEEN, Launch("pkg.Class", 512, {}))
    chosen = {"JAVA_TOOL_OPTIONS": "-Xshare:off"}
    assert archive not in runtime.command(SEEN, Launch("pkg.Class", 512, chosen))
    (directory / "archive.build").write_text("Debian 17.0.14")
    assert not is_current(directory, home)
    assert "runtimes add java17 --again" in JavaClient(17).advice(directory)


def test_what_is_missing_names_the_version_and_where_it_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.runtimes.java.client.find_java_homes", lambda: ())
    assert JavaClient(17).missing() == (
        "needs Java 17 at JAVA_HOME, on the PATH or in /usr/lib/jvm; found no Java"
    )
